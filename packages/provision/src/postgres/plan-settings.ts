/**
 * What decides which plan a query gets, and is shown as such by EXPLAIN (SETTINGS): the parameters with GUC_EXPLAIN of PostgreSQL 12 to 18, and
 * all of the category "Query Tuning". Not among them: `search_path`, which decides what a query means; and `shared_buffers`, which no plan
 * depends on, and which many clones of one machine can't all have as large as their source.
 */
const NAMES: ReadonlySet<string> = new Set([
  'constraint_exclusion',
  'cpu_index_tuple_cost',
  'cpu_operator_cost',
  'cpu_tuple_cost',
  'cursor_tuple_fraction',
  'debug_parallel_query',
  'default_statistics_target',
  'effective_cache_size',
  'effective_io_concurrency',
  'enable_async_append',
  'enable_bitmapscan',
  'enable_distinct_reordering',
  'enable_gathermerge',
  'enable_group_by_reordering',
  'enable_hashagg',
  'enable_hashjoin',
  'enable_incremental_sort',
  'enable_indexonlyscan',
  'enable_indexscan',
  'enable_material',
  'enable_memoize',
  'enable_mergejoin',
  'enable_nestloop',
  'enable_parallel_append',
  'enable_parallel_hash',
  'enable_partition_pruning',
  'enable_partitionwise_aggregate',
  'enable_partitionwise_join',
  'enable_presorted_aggregate',
  'enable_self_join_elimination',
  'enable_seqscan',
  'enable_sort',
  'enable_tidscan',
  // The name of debug_parallel_query until PostgreSQL 15, which later ones still take.
  'force_parallel_mode',
  'from_collapse_limit',
  'geqo',
  'geqo_effort',
  'geqo_generations',
  'geqo_pool_size',
  'geqo_seed',
  'geqo_selection_bias',
  'geqo_threshold',
  'hash_mem_multiplier',
  'jit',
  'jit_above_cost',
  'jit_inline_above_cost',
  'jit_optimize_above_cost',
  'join_collapse_limit',
  'maintenance_io_concurrency',
  'max_parallel_workers',
  'max_parallel_workers_per_gather',
  'min_parallel_index_scan_size',
  'min_parallel_table_scan_size',
  'parallel_leader_participation',
  'parallel_setup_cost',
  'parallel_tuple_cost',
  'plan_cache_mode',
  'random_page_cost',
  'recursive_worktable_factor',
  'seq_page_cost',
  'temp_buffers',
  'work_mem',
])

/** All that their values can be: a word of the server's own, or a number, with the unit of a size. */
const VALUE = /^(?:[a-z][a-z_]{0,30}|[+-]?\d{1,20}(?:\.\d{1,20})?(?:e[+-]?\d{1,3})?(?: {0,3}(?:B|kB|MB|GB|TB))?)$/i

export const PLAN_SETTINGS: readonly string[] = [...NAMES]

export function isPlanSetting(name: string): boolean {
  return NAMES.has(name)
}

/**
 * Of settings that come from outside, those that decide plans, and the names of those of them whose values can't be. What is left is safe to hand to any
 * server: whether that one knows and takes it, it has to be asked.
 */
export function planSettingsOf(settings: Readonly<Record<string, string>>): {
  found: Record<string, string>
  strange: string[]
} {
  const mine = Object.entries(settings).filter(([name]) => isPlanSetting(name))
  const isSound = ([, value]: [string, string]) => VALUE.test(value)
  return {
    found: Object.fromEntries(mine.filter(isSound)),
    strange: mine.filter((entry) => !isSound(entry)).map(([name]) => name),
  }
}
