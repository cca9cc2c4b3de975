/** One measured ratio and the limit that it must keep. */
export interface BenchResult {
  /** What was measured against what, for example `run of 1M rows / COPY to /dev/null of the same rows`. */
  readonly name: string;
  /** The figure with its unit: ratios (`1.3 x`) where a floor or a peer ran beside, else seconds or MB. */
  readonly measured: string;
  /** What `measured` must keep, for example `<= 2 x`; empty for figures that are printed for information. */
  readonly limit: string;
  readonly ok: boolean;
}
