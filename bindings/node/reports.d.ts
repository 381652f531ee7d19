// What is answered: descriptions of topics and groups, and reports of what was done. Times are in milliseconds, those of
// day since the Unix epoch; what is absent is null.

export interface TopicDescription {
  name: string;
  partitions: number;
  incarnation: number;
  /** Null is never. */
  minExpiryMs: number | null;
  retentionMs: number | null;
  retentionBytes: number | null;
  compression: string | null;
  maxRecordBytes: number;
  createdMs: number;
}

/** What was removed, and what is left for later. */
export interface Deletion {
  removed: number;
  remaining: number;
  removableAtMs: number | null;
}

export interface Removal extends Deletion {
  removedBytes: number;
}

export interface Compaction extends Deletion {
  compacted: number;
  already: number;
  left: number;
  segments: number;
  segmentBytes: number;
}

export interface Verification {
  records: number;
  batches: number;
  bytes: number;
  gaps: number;
  issues: { partition: number; object: string; problem: string }[];
}

export interface Adoption {
  ended: { partition: number; block: number; slots: number; missing: number; nextOffset: bigint }[];
  leftAlone: number;
}

export interface Examination {
  usable: boolean;
  checks: { name: string; result: 'passed' | 'failed'; detail: string }[];
  clockOffSeconds: number;
  putSmallMs: number;
  putLargeMs: number;
  getSmallMs: number;
  getLargeMs: number;
}

export interface GroupListing {
  name: string;
  members: number;
  generation: number;
}

export interface GroupDescription {
  name: string;
  generation: number;
  assignor: string;
  members: {
    name: string;
    static: boolean;
    topics: string[];
    partitions: number;
    sessionTimeoutMs: number;
    joinedMs: number;
  }[];
  partitions: {
    topic: string;
    partition: number;
    owner: string | null;
    committed: bigint | null;
    metadata: string | null;
    end: bigint;
    lag: bigint | null;
  }[];
}

/** Something that is done again and again, takes time, and may fail. */
export interface OperationMetrics {
  /** How often it ended, well or not. */
  count: number;
  failed: number;
  /** What it moved. */
  bytes: number;
  /** How long it took, in milliseconds. A bucket has all that took no longer than its `le`. */
  durationMs: {
    sum: number;
    mean: number;
    p50: number;
    p90: number;
    p99: number;
    max: number;
    buckets: { le: number; count: number }[];
  };
}

/** What a client has done so far. Counts only grow. */
export interface Metrics {
  /** Requests to the storage, each try on its own; `throttled` are those that were too many for it. */
  storage: {
    put: OperationMetrics;
    get: OperationMetrics;
    list: OperationMetrics;
    delete: OperationMetrics;
    throttled: number;
  };
  /** Batches that were appended, records that were acknowledged, and slots that another writer won. */
  producer: { append: OperationMetrics; records: number; conflicts: number };
  /** Records that were handed to the program, commits, and lag as it was last asked for. */
  consumer: {
    records: number;
    bytes: number;
    commit: OperationMetrics;
    lag: { group: string | null; topic: string; partition: number; lag: bigint; ageMs: number }[];
  };
}
