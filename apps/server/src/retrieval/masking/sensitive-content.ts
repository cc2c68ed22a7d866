/** What values may look like, how it is told in SQL of a text `v`, and how many of a column's values must, for it to be no accident. */
export interface Looks {
  what: string
  sql: string
  /** Of the values that are there; 0: a single one is enough. */
  share: number
}

/** The IBAN registry of SWIFT. */
const IBAN_LENGTHS =
  'AD24 AE23 AL28 AT20 AZ28 BA20 BE16 BG22 BH22 BR29 BY28 CH21 CR22 CY28 CZ24 DE22 DK18 DO28 EE20 EG29 ES24 FI18 FO18 FR27 GB22 GE22 GI23 GL18 ' +
  'GR27 GT28 HR21 HU28 IE22 IL23 IQ23 IS26 IT27 JO30 KW30 KZ20 LB28 LC32 LI21 LT20 LU20 LV21 LY25 MC27 MD24 ME22 MK19 MR27 MT31 MU30 NL18 NO15 ' +
  'PK24 PL28 PS29 PT25 QA29 RO24 RS22 SA24 SC31 SE24 SI19 SK24 SM27 ST25 SV28 TL23 TN24 TR26 UA29 VA22 VG24 XK20'

/** Functions of the session, for what a regular expression can't tell. */
export const contentFunctions: readonly string[] = [
  // ISO/IEC 7812: every second digit from the right is doubled.
  `create function pg_temp.dblab_is_card(v text) returns bool language plpgsql immutable parallel safe as $$
   declare
     found text := regexp_replace(substring(v from '(?:^|[^0-9])([2-6](?:[ -]?[0-9]){12,18})(?:[^0-9]|$)'), '[^0-9]', '', 'g');
     sum int := 0;
     digit int;
   begin
     if found is null then return false; end if;
     for i in 0..length(found) - 1 loop
       digit := substring(found from length(found) - i for 1)::int;
       sum := sum + case when i % 2 = 0 then digit when digit < 5 then 2 * digit else 2 * digit - 9 end;
     end loop;
     return sum % 10 = 0;
   end $$`,
  // ISO 13616: each country has its length; the first four characters go to the end, letters become numbers from 10 on, and the rest by 97 is 1.
  `create function pg_temp.dblab_is_iban(v text) returns bool language plpgsql immutable parallel safe as $$
   declare
     found text := replace(substring(v from '\\m[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}'), ' ', '');
     size int := substring('${IBAN_LENGTHS}' from left(found, 2) || '([0-9]{2})')::int;
     digits text := '';
     part text;
   begin
     if size is null or length(found) < size then return false; end if;
     found := left(found, size);
     foreach part in array string_to_array(substring(found from 5) || left(found, 4), null) loop
       digits := digits || case when part ~ '[0-9]' then part else (ascii(part) - 55)::text end;
     end loop;
     return digits::numeric % 97 = 1;
   end $$`,
]

const OCTET = '(25[0-5]|2[0-4][0-9]|1?[0-9]?[0-9])'

export const LOOKS: readonly Looks[] = [
  {
    what: 'email addresses',
    share: 0,
    sql: String.raw`position('@' in v) > 0 and v ~* '[a-z0-9._%+-]+@[a-z0-9-]+(\.[a-z0-9-]+)*\.[a-z]{2,}'`,
  },
  { what: 'bank accounts (IBAN)', share: 0, sql: 'pg_temp.dblab_is_iban(v)' },
  // A tenth of all long numbers pass the check.
  { what: 'card numbers', share: 0.2, sql: 'pg_temp.dblab_is_card(v)' },
  {
    what: 'social security numbers',
    share: 0.1,
    sql: `v ~ '(^|[^0-9-])[0-9]{3}-[0-9]{2}-[0-9]{4}($|[^0-9-])'`,
  },
  {
    what: 'phone numbers',
    share: 0.3,
    sql: String.raw`v ~ '(^|[^0-9a-zA-Z])(\+|00)[1-9][0-9 ()/.-]{7,18}[0-9]($|[^0-9])' or v ~ '^\(?0?[0-9]{2,5}\)?[ /-][0-9][0-9 -]{5,12}$'`,
  },
  {
    what: 'network addresses',
    share: 0.1,
    sql: String.raw`v ~ '(^|[^0-9.])${OCTET}(\.${OCTET}){3}($|[^0-9.])' or v ~* '^([0-9a-f]{1,4}:){4,7}[0-9a-f]{1,4}$'`,
  },
  {
    what: 'national ids',
    share: 0.3,
    sql: String.raw`v ~ '^[A-CEGHJ-PR-TW-Z]{2} ?[0-9]{2} ?[0-9]{2} ?[0-9]{2} ?[A-D]$' or v ~ '^[0-9XYZ][0-9]{7}-?[A-HJ-NP-TV-Z]$' or v ~ '^[0-9]{3}\.[0-9]{3}\.[0-9]{3}-[0-9]{2}$'`,
  },
  {
    what: 'signed tokens or keys',
    share: 0,
    sql: String.raw`v ~ '\meyJ[A-Za-z0-9_-]{10,}\.eyJ[A-Za-z0-9_-]{10,}\.' or v ~ '-----BEGIN [A-Z ]*PRIVATE KEY-----'`,
  },
]
