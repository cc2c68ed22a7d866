/** How long a call that waits for work of the lab may take, where the caller says nothing: a driver that copies whole files needs minutes. */
export const WAIT_TIMEOUT_MS = 300_000
