/** Schemas of the data, in a query over pg_namespace n. */
export const OWN_SCHEMA = `n.nspname !~ '^pg_' and n.nspname <> 'information_schema'`

export const tablesSql = `
with recursive own as (
  select c.oid, n.nspname::text as schema, c.relname::text as name, c.relkind as kind,
    coalesce(pg_partition_root(c.oid)::oid, c.oid) as root
  from pg_class c join pg_namespace n on n.oid = c.relnamespace
  where c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and ${OWN_SCHEMA}
), line as (
  select inhrelid as oid, inhparent as ancestor from pg_inherits
  union
  select line.oid, i.inhparent from line join pg_inherits i on i.inhrelid = line.ancestor
)
select own.oid, own.schema, own.name, format('%I.%I', own.schema, own.name) as sql, own.kind, own.root,
  array(select line.ancestor from line where line.oid = own.oid) as ancestors
from own order by own.schema, own.name`

/**
 * Domains are followed down to what they are made of; the length that is nearest counts. A column that a table is partitioned by depends on
 * the table, also where it is part of an expression (StorePartitionKey in src/backend/catalog/heap.c).
 */
export const columnsSql = `
with recursive attribute as (
  select a.attrelid, a.attnum, a.attname, a.atttypid, a.atttypmod, a.attnotnull, a.attgenerated, a.attidentity
  from pg_attribute a join pg_class c on c.oid = a.attrelid join pg_namespace n on n.oid = c.relnamespace
  where a.attnum > 0 and not a.attisdropped and c.relkind in ('r', 'p', 'v', 'm', 'f') and c.relpersistence <> 't' and ${OWN_SCHEMA}
), below as (
  select a.attrelid, a.attnum, t.oid as type, a.atttypmod as typmod, t.typnotnull as filled
  from attribute a join pg_type t on t.oid = a.atttypid
  union all
  select b.attrelid, b.attnum, t.typbasetype, case when b.typmod = -1 then t.typtypmod else b.typmod end, b.filled or t.typnotnull
  from below b join pg_type t on t.oid = b.type where t.typtype = 'd'
), base as (
  select b.attrelid, b.attnum, b.typmod, b.filled, t.typname::text as name, e.typname::text as element
  from below b join pg_type t on t.oid = b.type
  left join pg_type e on t.typcategory = 'A' and e.oid = t.typelem
  where t.typtype <> 'd'
), simple as (
  select i.indrelid, i.indkey[k] as attnum, i.indnkeyatts
  from pg_index i cross join generate_series(0, i.indnkeyatts - 1) k
  where i.indisunique and i.indislive and i.indkey[k] <> 0
  union all
  select i.indrelid, d.refobjsubid, i.indnkeyatts
  from pg_index i
  join pg_depend d on d.classid = 'pg_class'::regclass and d.objid = i.indexrelid
    and d.refclassid = 'pg_class'::regclass and d.refobjid = i.indrelid and d.refobjsubid > 0
  where i.indisunique and i.indislive and 0 = any (i.indkey)
), keys as (
  select indrelid, attnum, min(indnkeyatts) as width from simple group by 1, 2
)
select a.attrelid as oid, a.attname::text as name, format_type(a.atttypid, a.atttypmod) as type,
  coalesce(base.element, base.name) as base, base.element is not null as "array",
  case when base.name in ('varchar', 'bpchar') and base.typmod > 4 then base.typmod - 4 end as length,
  a.attnotnull or base.filled as "notNull", a.attgenerated <> '' as generated, a.attidentity = 'a' as "alwaysIdentity",
  case when keys.width = 1 then 'alone' when keys.width > 1 then 'part' end as unique,
  exists (
    select from pg_partitioned_table p
    join pg_depend d on d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass and d.objid = p.partrelid
      and d.refobjid = p.partrelid and d.objsubid > 0 and d.refobjsubid = 0
    join pg_attribute of on of.attrelid = p.partrelid and of.attnum = d.objsubid
    where p.partrelid in (select relid from pg_partition_ancestors(a.attrelid)) and of.attname = a.attname
  ) as "partitionKey"
from attribute a join base using (attrelid, attnum) left join keys on keys.indrelid = a.attrelid and keys.attnum = a.attnum
order by a.attrelid, a.attnum`

/** Of a partitioned table once, and not of each of its partitions. */
export const foreignKeysSql = `
select f.conname::text as name, f.convalidated as validated, f.confmatchtype = 'f' as "full",
  coalesce(to_jsonb(f) ->> 'conperiod', 'false')::bool as temporal,
  f.conrelid as "childTable", f.confrelid as "parentTable",
  coalesce(pg_partition_root(f.conrelid)::oid, f.conrelid) as child,
  coalesce(pg_partition_root(f.confrelid)::oid, f.confrelid) as parent,
  array(select a.attname::text from unnest(f.conkey) with ordinality k(num, i)
    join pg_attribute a on a.attrelid = f.conrelid and a.attnum = k.num order by i) as "childColumns",
  array(select a.attname::text from unnest(f.confkey) with ordinality k(num, i)
    join pg_attribute a on a.attrelid = f.confrelid and a.attnum = k.num order by i) as "parentColumns",
  array(select format('operator(%I.%s)', n.nspname, o.oprname) from unnest(f.conpfeqop) with ordinality k(op, i)
    join pg_operator o on o.oid = k.op join pg_namespace n on n.oid = o.oprnamespace order by i) as operators
from pg_constraint f where f.contype = 'f' and f.conparentid = 0 order by 1`
