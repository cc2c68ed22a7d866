import { WORDS } from './words.ts'

/**
 * What the rules are made of in SQL, as functions of the session: nothing of them stays in the data. Every name that they use is pg_catalog's
 * or their own, so that nothing of the data can stand in for it.
 */
export const maskingFunctions: readonly string[] = [
  // HMAC-SHA256 (RFC 2104). `inner_pad` and `outer_pad` are the key XORed with ipad and opad, 64 bytes each; the purpose keeps one use from another.
  `create function pg_temp.dblab_mac(purpose text, value text, inner_pad bytea, outer_pad bytea) returns bytea
   language sql stable strict parallel safe
   as $$select sha256($4 || sha256($3 || convert_to($1 || ':' || $2, 'UTF8')))$$`,

  // A balanced-as-can-be Feistel network of 8 rounds over numbers of so many bits. Each round's function is SHA-256 over the key's block and a
  // message of fixed length, for which a key in front is a sound MAC.
  `create function pg_temp.dblab_feistel(value bigint, bits int, key bytea) returns bigint
   language plpgsql immutable strict parallel safe as $$
   declare
     low int := (bits + 1) / 2;
     low_mask bigint := (1::bigint << low) - 1;
     high_mask bigint := (1::bigint << (bits - low)) - 1;
     l bigint := value >> low;
     r bigint := value & low_mask;
   begin
     for round in 0..7 loop
       if round % 2 = 0 then
         l := (l # pg_temp.dblab_word(key || int4send(bits * 256 + round) || int8send(r))) & high_mask;
       else
         r := (r # pg_temp.dblab_word(key || int4send(bits * 256 + round) || int8send(l))) & low_mask;
       end if;
     end loop;
     return (l << low) | r;
   end $$`,

  `create function pg_temp.dblab_word(message bytea) returns bigint language sql immutable strict parallel safe
   as $$select ('x' || encode(substring(sha256($1) from 1 for 4), 'hex'))::bit(32)::bigint$$`,

  // A permutation of whole numbers: the sign stays, and whether 31 or 53 bits hold it. So the result fits where the number did, be it integer,
  // bigint or a number in JavaScript, and is the same whatever the column's type. Cycle walking keeps it in its range.
  `create function pg_temp.dblab_permute(value bigint, small bool, key bytea) returns bigint
   language plpgsql immutable strict parallel safe set search_path = pg_catalog, pg_temp as $$
   declare
     v bigint := case when value < 0 then -1 - value else value end;
     bits int := case when small then 15 when v < 2147483648 then 31 when v < 9007199254740992 then 53 else 63 end;
     least bigint := case bits when 53 then 2147483648 when 63 then 9007199254740992 else 0 end;
   begin
     loop
       v := pg_temp.dblab_feistel(v, bits, key);
       exit when v >= least;
     end loop;
     return case when value < 0 then -1 - v else v end;
   end $$`,

  // Eight bytes of it as a number below the bound.
  `create function pg_temp.dblab_pick(mac bytea, at int, bound bigint) returns bigint language sql immutable strict parallel safe
   as $$select (('x' || encode(substring($1 from $2 for 7), 'hex'))::bit(56)::bigint) % $3$$`,

  fakeFunction(),
]

function fakeFunction(): string {
  // Where it is used, and not as a variable, which each call would fill.
  const list = (name: keyof typeof WORDS) => `('{${WORDS[name].join(',')}}'::text[])`
  const pick = (name: keyof typeof WORDS, at: number) =>
    `${list(name)}[1 + pg_temp.dblab_pick(mac, ${at}, ${WORDS[name].length})]`
  const person = `${pick('first', 1)} || ' ' || ${pick('last', 5)}`
  return `create function pg_temp.dblab_fake(kind text, original text, mac bytea, alone bool, room int) returns text
   language plpgsql immutable parallel safe set search_path = pg_catalog, pg_temp as $$
   declare
     tail constant text := encode(substring(mac from 17 for 8), 'hex');
     word text;
     digits text;
   begin
     if original is null then return null; end if;
     case kind
     when 'email' then
       return left(lower(${pick('first', 1)} || '.' || ${pick('last', 5)}), coalesce(room, 60) - 29) || '.' || tail || '@example.com';
     when 'phone' then
       return '+999' || lpad(pg_temp.dblab_pick(mac, 1, 100000000000)::text, 11, '0');
     when 'iban' then
       digits := lpad(pg_temp.dblab_pick(mac, 1, 100000000000000)::text, 14, '0');
       -- ISO 13616: letters count from A = 10; the bank is TEST, the country GB.
       return 'GB' || lpad((98 - ('29142829' || digits || '161100')::numeric % 97)::text, 2, '0') || 'TEST' || digits;
     when 'ip' then
       -- RFC 2544 and RFC 3849: addresses that are nobody's.
       if position(':' in original) > 0 then
         return '2001:db8::' || substring(tail from 1 for 4) || ':' || substring(tail from 5 for 4) || ':' || substring(tail from 9 for 4);
       end if;
       return '198.' || (18 + get_byte(mac, 0) % 2) || '.' || get_byte(mac, 1) || '.' || get_byte(mac, 2);
     when 'uuid' then
       return encode(set_byte(set_byte(substring(mac from 1 for 16), 6, (get_byte(mac, 6) & 15) | 64), 8, (get_byte(mac, 8) & 63) | 128), 'hex')::uuid::text;
     when 'name' then word := ${person};
     when 'firstName' then word := ${pick('first', 1)};
     when 'lastName' then word := ${pick('last', 5)};
     when 'address' then word := ${pick('street', 1)} || ' Street ' || (1 + get_byte(mac, 8) % 200) || ', ' || ${pick('city', 9)};
     when 'city' then word := ${pick('city', 9)};
     when 'company' then word := ${pick('company', 1)} || ' ' || ${pick('trade', 9)};
     when 'text' then
       word := (select string_agg(${list('text')}[1 + get_byte(mac, i) % ${WORDS.text.length}], ' ' order by i) from generate_series(0, 3 + get_byte(mac, 31) % 9) i);
     end case;
     if alone then
       word := left(word, coalesce(room, 100) - 17) || ' ' || tail;
     end if;
     return left(word, coalesce(room, length(word)));
   end $$`
}
