/// <reference types="node" />

/**
 * A message log with no broker: topics, partitions and offsets on any object storage.
 *
 * In the examples, `client` is connected to a store with a topic `orders` of three partitions, and `assert` is
 * `node:assert/strict`.
 *
 * @packageDocumentation
 */

import { Readable, Writable } from 'node:stream';
import {
  Adoption,
  Compaction,
  Deletion,
  Examination,
  GroupDescription,
  GroupListing,
  Metrics,
  Removal,
  TopicDescription,
  Verification,
} from './reports.js';

export * from './reports.js';

/**
 * Settings by name, as docs/configuration.md lists them, in camelCase or as they are there: `maxInFlightBytes` or
 * `max_in_flight_bytes`. Times and sizes are text with a unit: `'5ms'`, `'64KiB'`.
 */
export interface Settings extends Abortable {
  [name: string]: string | number | bigint | boolean | AbortSignal | undefined;
}

/** Bytes, or text that is written as UTF-8. */
export type Bytes = string | ArrayBufferView | ArrayBuffer;

/** Ends a wait: the promise is rejected with the signal's reason. What was begun may still be done. */
export interface Abortable {
  signal?: AbortSignal | undefined;
}

/** A record to be sent. Everything is optional; what is left out or null is null in the log, which is not empty. */
export interface ProducerRecord {
  /** Decides the partition, unless one is named, and so the order. */
  key?: Bytes | null | undefined;
  value?: Bytes | null | undefined;
  /** In order; as pairs, names may repeat. */
  headers?: Record<string, Bytes | null> | Map<string, Bytes | null> | readonly (readonly [string, Bytes | null])[] | null | undefined;
  /** A Date or milliseconds since the Unix epoch; by default the time of sending. */
  timestamp?: Date | number | null | undefined;
  partition?: number | null | undefined;
  /** For producers with a name: grows with each record, and is written once. */
  sequence?: bigint | number | null | undefined;
}

/** Where a record is in the log, durably. */
export interface Ack {
  partition: number;
  /** Of the first record, where several were appended at once; −1n for a duplicate. */
  offset: bigint;
  /** Milliseconds since the Unix epoch. */
  timestamp: number;
  /** The producer's name had written this sequence, or one above it, before: the record was not written again. */
  duplicate: boolean;
}

/**
 * A record from the log. Its parts are read when they are asked for; they share the memory of the batch that the
 * record came with, so copy what is kept for long (`Buffer.from(record.value)`). They are no properties of the record
 * itself: `{ ...record }` and `structuredClone` have none of them, so name those that are wanted.
 *
 * @example
 * ```js
 * const producer = await client.producer('orders');
 * await producer.send({ key: 'customer-7', value: 'paid', headers: { source: 'shop' }, partition: 2 });
 * const [record] = await client.consumer({ topics: ['orders'] }).poll();
 * assert.equal(record.topic, 'orders');
 * assert.equal(record.partition, 2);
 * assert.equal(record.offset, 0n);
 * assert.equal(record.key.toString(), 'customer-7');
 * assert.deepEqual(record.headers, [['source', Buffer.from('shop')]]);
 * ```
 */
export class ConsumerRecord {
  private constructor();
  get topic(): string;
  get partition(): number;
  /** Grows within a partition, may have gaps, never repeats. */
  get offset(): bigint;
  /** Milliseconds since the Unix epoch, as its producer gave it. */
  get timestamp(): number;
  get key(): Buffer | null;
  get value(): Buffer | null;
  get headers(): [name: string, value: Buffer | null][];
  /** A plain object for `JSON.stringify`, with the offset as text. */
  toJSON(): object;
}

export interface TopicPartition {
  topic: string;
  partition: number;
}

/** A partition to read, from an offset if one is given; else from what is committed, or as the setting `start` says. */
export interface Assignment extends TopicPartition {
  offset?: bigint | number | null | undefined;
}

export interface Position extends TopicPartition {
  offset: bigint;
}

/** An offset that is committed: that of the next record to be consumed. */
export interface CommittedOffset extends Position {
  metadata?: string;
}

/** An offset to commit: that of the next record to be consumed. */
export interface OffsetCommit extends TopicPartition {
  offset: bigint | number;
  /** Whatever is to be kept with it, 4 KiB at most. */
  metadata?: string | null | undefined;
}

/**
 * A place in a partition: an offset, the first record at or after a time, so many records before the end, or as text
 * what the setting `start` takes: `'earliest'`, `'latest'`, `'offset:7'`, `'timestamp:1700000000000'`, `'last:10'`.
 */
export type Place = bigint | number | string | Date | { timestamp: number | Date } | { last: number | bigint };

/**
 * A failed call. `code` is `ERR_KAFFIC_` and the status; bad arguments are `ERR_KAFFIC_INVALID_ARGUMENT`.
 *
 * @example
 * ```js
 * const error = await client.topics.describe('nothing').catch((error) => error);
 * assert.ok(error instanceof KafficError);
 * assert.equal(error.code, 'ERR_KAFFIC_TOPIC_NOT_FOUND');
 * assert.equal(error.status, 'TOPIC_NOT_FOUND');
 * assert.equal(error.retriable, false);
 * ```
 */
export class KafficError extends Error {
  private constructor();
  readonly code: string;
  /** One of the statuses in docs/node.md. */
  readonly status: string;
  /** The same call may succeed later without anything being changed. */
  readonly retriable: boolean;
  /** It can't be known whether the records were written. Without this they were not. */
  readonly outcomeUnknown: boolean;
  /** For `OFFSET_OUT_OF_RANGE`: the first offset that is there behind the wanted one. */
  readonly earliest?: bigint;
  /** For `OFFSET_OUT_OF_RANGE` and `CONDITION_FAILED`: the offset that the next record will get. */
  readonly tail?: bigint;
}

/**
 * Connects to the store that the URL names: `file:///path`, `memory://`, `s3://bucket/prefix`, `gs://…`, `az://…`. The
 * options are those of docs/stores.md.
 *
 * @example
 * ```js
 * const shop = await connect('memory://', { requestTimeout: '10s' });
 * await shop.topics.ensure('orders', { partitions: 3 });
 * await shop.close();
 * ```
 */
export function connect(url: string | URL, options?: Settings): Promise<Client>;

/**
 * Says who gets log lines, or nobody. Lines that come faster than the program takes them are left out. Returns whether
 * lines come; there is one logger a process.
 *
 * @example
 * ```js
 * setLogger(({ level, target, message }) => console.error(level, target, message), { level: 'warning' });
 * setLogger(null);
 * ```
 */
export function setLogger(
  logger: ((line: { level: LogLevel; target: string; message: string }) => void) | null,
  options?: { level?: LogLevel },
): boolean;

export type LogLevel = 'error' | 'warning' | 'info' | 'debug' | 'trace';

/**
 * The way to everything. From {@link connect}.
 *
 * @example
 * ```js
 * const producer = await client.producer('orders', { linger: '5ms', compression: 'zstd' });
 * const { partition, offset } = await producer.send({ key: 'customer-7', value: 'paid' });
 * for await (const record of client.consumer({ topics: ['orders'], until: 'latest' })) {
 *   assert.deepEqual([record.partition, record.offset], [partition, offset]);
 * }
 * await client.close();
 * ```
 */
export class Client implements AsyncDisposable {
  private constructor();
  readonly topics: Topics;
  readonly groups: Groups;
  /** Makes a producer for a topic. Rejected with `TOPIC_NOT_FOUND` if there is none, unless `createTopic` says more. */
  producer(topic: string, settings?: Settings): Promise<Producer>;
  /** Makes a consumer. What it reads is looked at when it is first used. */
  consumer(options?: ConsumerOptions): Consumer;
  /**
   * The offset of a place in a partition: `'earliest'`, `'latest'`, or of the first record at or after a time.
   *
   * @example
   * ```js
   * assert.equal(await client.offset('orders', 0, 'latest'), 0n);
   * assert.equal(await client.offset('orders', 0, new Date(0)), 0n);
   * ```
   */
  offset(
    topic: string,
    partition: number,
    at: string | Date | { timestamp: number | Date },
    options?: Abortable,
  ): Promise<bigint>;
  /**
   * Reads everything in a topic and says what is wrong.
   *
   * @example
   * ```js
   * const { records, issues } = await client.verify('orders');
   * assert.deepEqual([records, issues], [0, []]);
   * ```
   */
  verify(topic: string, options?: Abortable): Promise<Verification>;
  /**
   * Joins small batches, as is done in the background too.
   *
   * @example
   * ```js
   * const { compacted } = await client.compact('orders');
   * assert.equal(compacted, 0);
   * ```
   */
  compact(topic: string, options?: Abortable): Promise<Compaction>;
  /**
   * Removes a topic's oldest records: by its retention, or by what is said here. No record goes that is younger than
   * the topic's `minExpiry`.
   *
   * @example
   * ```js
   * const { removed } = await client.trim('orders', { beforeOffset: 1000, partition: 2 });
   * assert.equal(removed, 0);
   * ```
   */
  trim(topic: string, settings?: Settings): Promise<Removal>;
  /**
   * Makes a topic that was copied from another store writable there.
   *
   * @example
   * ```js
   * const { ended } = await client.adopt('orders', { dryRun: true });
   * assert.deepEqual(ended, []);
   * ```
   */
  adopt(topic: string, options?: Abortable & { dryRun?: boolean }): Promise<Adoption>;
  /**
   * Tries on the store what kaffic rests on, and measures it.
   *
   * @example
   * ```js
   * const { usable } = await client.examine();
   * assert.ok(usable);
   * ```
   */
  examine(options?: Abortable): Promise<Examination>;
  /**
   * What the client and everything made from it has done so far, and how long it took.
   *
   * @example
   * ```js
   * const { storage } = client.metrics();
   * assert.ok(storage.put.count >= 1);
   * ```
   */
  metrics(): Metrics;
  /** Closes the producers and consumers that are open still. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Topics. From {@link Client.topics}.
 *
 * @example
 * ```js
 * await client.topics.create('audit', { partitions: 2, compression: 'zstd', retention: '30d' });
 * await client.topics.alter('audit', { retention: 'default' });
 * assert.equal((await client.topics.describe('audit')).retentionMs, null);
 * assert.deepEqual((await client.topics.list()).map(({ name }) => name), ['audit', 'orders']);
 * await client.topics.delete('audit');
 * await client.topics.ensure('audit', { partitions: 3 });
 * ```
 */
export interface Topics {
  /** Rejected with `TOPIC_EXISTS` if there is one of that name. */
  create(name: string, config?: Settings): Promise<TopicDescription>;
  /** Creates it if there is none of that name; an existing one stays as it is. */
  ensure(name: string, config?: Settings): Promise<TopicDescription>;
  alter(name: string, change: Settings): Promise<TopicDescription>;
  describe(name: string, options?: Abortable): Promise<TopicDescription>;
  list(options?: Abortable): Promise<TopicDescription[]>;
  delete(name: string, options?: Abortable): Promise<Deletion>;
}

/**
 * Consumer groups, from outside. From {@link Client.groups}.
 *
 * @example
 * ```js
 * await client.groups.commit('billing', [{ topic: 'orders', partition: 0, offset: 0n }]);
 * assert.equal((await client.groups.committed('billing'))[0].offset, 0n);
 * assert.equal((await client.groups.list())[0].name, 'billing');
 * const { partitions } = await client.groups.describe('billing');
 * assert.equal(partitions[0].lag, 0n);
 * await client.groups.reset('billing', 'orders', 'latest', { partitions: [0], dryRun: true });
 * await client.groups.delete('billing');
 * ```
 */
export interface Groups {
  list(options?: Abortable): Promise<GroupListing[]>;
  describe(name: string, options?: Abortable): Promise<GroupDescription>;
  committed(name: string, options?: Abortable): Promise<CommittedOffset[]>;
  /** Commits offsets of a group that has no members now. */
  commit(name: string, offsets: readonly OffsetCommit[], options?: Abortable): Promise<void>;
  /** Sets a group's offsets in a topic; `{ shift }` goes so many on or back. Returns what they are then. */
  reset(
    name: string,
    topic: string,
    to: Place | { shift: number | bigint },
    options?: Abortable & { partitions?: readonly number[]; dryRun?: boolean },
  ): Promise<CommittedOffset[]>;
  delete(name: string, options?: Abortable): Promise<void>;
}

/**
 * Writes to a topic. From {@link Client.producer}. Records of one partition are written in the order of the calls.
 *
 * @example
 * ```js
 * const producer = await client.producer('orders', { name: 'copier' });
 * assert.equal(producer.epoch, 0);
 * const ack = await producer.send({ value: 'line 7', partition: 0, sequence: 7n });
 * const again = await producer.send({ value: 'line 7', partition: 0, sequence: 7n });
 * assert.deepEqual([ack.duplicate, again.duplicate], [false, true]);
 * assert.equal(await producer.lastSequence(0), 7n);
 * await producer.close();
 * ```
 */
export class Producer implements AsyncDisposable {
  private constructor();
  readonly topic: string;
  /** The topic's number of partitions. */
  readonly partitions: number;
  /** Of the producer's name: 0 for its first instance, and one more for each after it; null without a name. */
  readonly epoch: number | null;
  /**
   * Sends a record; resolved when it is durable. An aborted send may be written all the same.
   *
   * @example
   * ```js
   * const producer = await client.producer('orders');
   * const { offset } = await producer.send({ key: 'customer-7', value: Buffer.from([0, 255]) });
   * assert.equal(offset, 0n);
   * ```
   */
  send(record: ProducerRecord, options?: Abortable): Promise<Ack>;
  /**
   * Sends records, and waits for all. Each goes its own way; use {@link append} for all or none.
   *
   * @example
   * ```js
   * const producer = await client.producer('orders');
   * const acks = await producer.sendBatch([{ value: 'a', partition: 0 }, { value: 'b', partition: 0 }]);
   * assert.deepEqual(acks.map(({ offset }) => offset), [0n, 1n]);
   * ```
   */
  sendBatch(records: readonly ProducerRecord[], options?: Abortable): Promise<Ack[]>;
  /**
   * Appends records to a partition as one batch, all or none; with `expectedOffset` only if the first gets just that
   * offset. Resolved with the acknowledgement of the first.
   *
   * @example
   * ```js
   * const producer = await client.producer('orders');
   * await producer.append(0, [{ value: 'a' }, { value: 'b' }], { expectedOffset: 0n });
   * const error = await producer.append(0, [{ value: 'c' }], { expectedOffset: 0n }).catch((error) => error);
   * assert.equal(error.code, 'ERR_KAFFIC_CONDITION_FAILED');
   * assert.equal(error.tail, 2n);
   * ```
   */
  append(
    partition: number,
    records: readonly ProducerRecord[],
    options?: Abortable & { expectedOffset?: bigint | number | null | undefined },
  ): Promise<Ack>;
  /** Waits until everything that was sent so far is acknowledged or has failed; rejected with the first failure. */
  flush(options?: Abortable): Promise<void>;
  /** Fences older instances of the producer's name off all partitions, now. */
  fence(): Promise<void>;
  /** The last sequence that the producer's name has written to a partition; null if none. */
  lastSequence(partition: number): Promise<bigint | null>;
  /**
   * A stream of records into the producer, with backpressure. Ending it flushes, and leaves the producer open.
   *
   * @example
   * ```js
   * const { pipeline } = await import('node:stream/promises');
   * const producer = await client.producer('orders');
   * const lines = ['one', 'two', 'three'].map((value) => ({ value }));
   * await pipeline(lines, producer.writable());
   * ```
   */
  writable(options?: { highWaterMark?: number }): Writable;
  /** Flushes, and refuses records from then on. Closing again does nothing. */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** What a consumer reads (one of `topics`, `pattern` and `partitions`), what it tells, and its settings by name. */
export interface ConsumerOptions {
  /** Topics; in a group the consumer's share of their partitions. */
  topics?: string | readonly string[] | undefined;
  /** All topics whose whole name fits, also those to come; only in a group. A RegExp's source is read as Rust's. */
  pattern?: string | RegExp | undefined;
  partitions?: readonly Assignment[] | undefined;
  /** Ends every wait for records. */
  signal?: AbortSignal | undefined;
  /** These partitions are this consumer's now. Called from within polls, as the two below. */
  onAssigned?: ((partitions: Position[]) => void) | undefined;
  /** These are about to go to others. What it returns is committed before that. */
  onRevoked?: ((partitions: Position[]) => readonly OffsetCommit[] | void) | undefined;
  /** These are others' already: the consumer was silent for too long. */
  onLost?: ((partitions: Position[]) => void) | undefined;
  [setting: string]:
    | Settings[string]
    | readonly string[]
    | RegExp
    | readonly Assignment[]
    | AbortSignal
    | ((partitions: Position[]) => readonly OffsetCommit[] | void);
}

/**
 * Reads records. From {@link Client.consumer}. Iterating it ends when it is finished or closed, and leaving the loop
 * leaves it open. Calls take their turns; none waits for a poll that waits.
 *
 * @example
 * ```js
 * const producer = await client.producer('orders');
 * await producer.sendBatch(['a', 'b', 'c'].map((value) => ({ value, partition: 1 })));
 * const consumer = client.consumer({ topics: ['orders'], group: 'billing', autoCommit: 'never' });
 * for await (const record of consumer) {
 *   if (record.value.toString() === 'b') break;
 * }
 * await consumer.commit();
 * assert.deepEqual(await consumer.committed(), [{ topic: 'orders', partition: 1, offset: 2n }]);
 * await consumer.close();
 * ```
 */
export class Consumer implements AsyncIterable<ConsumerRecord>, AsyncDisposable {
  private constructor();
  /**
   * Says what is read, in place of what was before: topics, or a pattern of their names.
   *
   * @example
   * ```js
   * const consumer = client.consumer({ group: 'audit' });
   * await consumer.subscribe(['orders']);
   * await consumer.subscribe(/ord.+/);
   * ```
   */
  subscribe(
    topics: string | readonly string[] | RegExp | { pattern: string | RegExp },
    options?: Abortable,
  ): Promise<void>;
  /**
   * Says which partitions are read, in place of what was read before.
   *
   * @example
   * ```js
   * const consumer = client.consumer();
   * await consumer.assign([{ topic: 'orders', partition: 0 }, { topic: 'orders', partition: 1, offset: 0n }]);
   * assert.equal((await consumer.positions()).length, 2);
   * ```
   */
  assign(partitions: readonly Assignment[], options?: Abortable): Promise<void>;
  /**
   * Up to `max` records (1000 at most). Waits for the first for `timeoutMs`, or for as long as it takes. None if the
   * time ran out, or if the consumer is finished. What it returns counts as processed at the next poll.
   *
   * @example
   * ```js
   * const consumer = client.consumer({ topics: ['orders'] });
   * assert.deepEqual(await consumer.poll({ max: 100, timeoutMs: 20 }), []);
   * ```
   */
  poll(options?: Abortable & { max?: number; timeoutMs?: number }): Promise<ConsumerRecord[]>;
  /**
   * The records, of which up to `max` (1000 at most) are fetched at a time. Those count as processed when the first
   * after them is asked for.
   *
   * @example
   * ```js
   * const producer = await client.producer('orders');
   * await producer.send({ value: 'a' });
   * const consumer = client.consumer({ topics: ['orders'] });
   * for await (const { value } of consumer.records({ max: 1, signal: AbortSignal.timeout(5000) })) {
   *   assert.equal(String(value), 'a');
   *   break;
   * }
   * ```
   */
  records(options?: Abortable & { max?: number }): AsyncIterableIterator<ConsumerRecord>;
  [Symbol.asyncIterator](): AsyncIterableIterator<ConsumerRecord>;
  /**
   * A stream of the records, which reads nothing ahead. Destroying it leaves the consumer open.
   *
   * @example
   * ```js
   * const producer = await client.producer('orders');
   * await producer.sendBatch([{ value: 'a' }, { value: 'b' }]);
   * const values = client.consumer({ topics: ['orders'], until: 'latest' }).readable().map(({ value }) => String(value));
   * assert.deepEqual((await values.toArray()).sort(), ['a', 'b']);
   * ```
   */
  readable(): Readable;
  /**
   * Ends the poll that waits, or the next, also where there are records: it is rejected with `INTERRUPTED`, and the
   * records come with the poll after it.
   */
  wakeup(): void;
  /**
   * Goes on elsewhere in a partition.
   *
   * @example
   * ```js
   * const consumer = client.consumer({ topics: ['orders'] });
   * await consumer.seek('orders', 0, 'latest');
   * await consumer.seek('orders', 1, { timestamp: new Date('2026-01-31') });
   * await consumer.seek('orders', 2, 0n);
   * ```
   */
  seek(topic: string, partition: number, to: Place, options?: Abortable): Promise<void>;
  /** Stops delivering a partition. */
  pause(topic: string, partition: number): Promise<void>;
  /** Delivers it again, from where it was. */
  resume(topic: string, partition: number): Promise<void>;
  /** The offsets of the next records to be handed out. */
  positions(): Promise<Position[]>;
  /** The offsets that the next records to be written will get. */
  endOffsets(options?: Abortable): Promise<Position[]>;
  /** How many offsets lie between the two. */
  lag(options?: Abortable): Promise<(TopicPartition & { lag: bigint })[]>;
  /** Commits these offsets, or those of everything that was handed out. */
  commit(offsets?: readonly OffsetCommit[], options?: Abortable): Promise<void>;
  /** What is committed in the partitions that it has. */
  committed(): Promise<CommittedOffset[]>;
  /** Its name in its group; null where it is in none. */
  memberName(): Promise<string | null>;
  /** Whether everything that was asked for has been handed out. */
  isFinished(): Promise<boolean>;
  /**
   * Commits what was handed out, if it does that by itself, and leaves its group. A poll that waits is rejected with
   * `CLOSED`, and a loop ends. Closing again does nothing.
   */
  close(): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}
