/** Names of the objects of one gateway's staging, below its store's root. */
export interface StagingLayout {
  readonly gateway: string;
  readonly source: string;
  readonly status: string;
  readonly lease: string;
  readonly manifest: string;
  readonly checkpoints: string;
  readonly log: string;
  readonly snapshots: string;
  readonly pipelines: string;
  entry(n: number): string;
  checkpoint(n: number): string;
  /** With a mark of its own: nobody ever writes twice under one name. */
  segment(epoch: number, n: number, mark: string): string;
  snapshot(table: number, id: string): string;
  pipeline(id: string): string;
}

/** Where things lie for a gateway whose id may hold any characters. */
export function stagingLayout(gateway: string): StagingLayout {
  const root = encodeURIComponent(gateway);
  return {
    gateway,
    source: `${root}/source.json`,
    status: `${root}/status.json`,
    lease: `${root}/lease`,
    manifest: `${root}/manifest/`,
    checkpoints: `${root}/checkpoint/`,
    log: `${root}/log/`,
    snapshots: `${root}/snap/`,
    pipelines: `${root}/pipelines/`,
    entry: (n) => `${root}/manifest/${padded(n)}.json`,
    checkpoint: (n) => `${root}/checkpoint/${padded(n)}.json`,
    segment: (epoch, n, mark) => `${root}/log/${String(epoch).padStart(8, '0')}/${padded(n)}-${mark}.seg`,
    snapshot: (table, id) => `${root}/snap/${table}/${encodeURIComponent(id)}/`,
    pipeline: (id) => `${root}/pipelines/${encodeURIComponent(id)}.json`,
  };
}

/** The number in the last part of a name such as `manifest/000000000042.json`; NaN where there is none. */
export function numberOf(name: string): number {
  return Number.parseInt(name.slice(name.lastIndexOf('/') + 1), 10);
}

function padded(n: number): string {
  return String(n).padStart(12, '0');
}
