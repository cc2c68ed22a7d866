/** Seconds of a creation or a reset: from an instance that stood ready (5 ms) to a full copy of large data (a minute), closest where most are. */
export const OPERATION_SECONDS = [
  0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60,
]

/** Of their steps, some of which take less than a millisecond. */
export const STEP_SECONDS = [0.001, 0.0025, ...OPERATION_SECONDS]

/** Of a request: reads take a millisecond, and `?wait=` holds an answer for up to a minute. */
export const REQUEST_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
