import { CHUNK_LIMITS, type ChunkLimits, firstChunk } from './chunks';
import { bytesOf, fingerprint, isReadable, isZip, type SelectedFile } from './files';
import type { ChunkResult, Failure, SendChunk, UploadError, UploadValues } from './request';
import { forget, keep, type UnfinishedUpload } from './unfinished';

/** What has become of a file; `partly` of a ZIP, some of whose files are not stored. */
export type Fate = 'waiting' | 'sending' | 'stored' | 'partly' | 'failed';

/** Where an upload stands. */
export type Phase =
  | { readonly name: 'sending' }
  | { readonly name: 'paused' }
  /** The gateway or the archive is unavailable: it is tried again after some seconds. */
  | { readonly name: 'interrupted' }
  /** The gateway rejects the upload: sending again does not help, unless the cause ends. */
  | { readonly name: 'rejected'; readonly error: UploadError }
  /** By the user; what is stored stays. */
  | { readonly name: 'cancelled' }
  | { readonly name: 'finished' };

/** What there is to show of an upload; a new object whenever it changes. */
export interface Progress {
  readonly phase: Phase;
  /** Numbers of files, where a ZIP counts as one. One that is stored in part has failed. */
  readonly stored: number;
  readonly failed: number;
  /** The same, where a ZIP counts as the files in it. */
  readonly storedImages: number;
  readonly failedImages: number;
  /** Of all files, in bytes: sent or in an earlier request. */
  readonly doneBytes: number;
  readonly allBytes: number;
  /** Of the bytes, or of the files if all of these are empty: from 0 to 1. */
  readonly share: number;
  /** Sentences of the gateway, in English. */
  readonly warnings: readonly string[];
  /** Orthanc id; null until a file is stored. */
  readonly studyId: string | null;
}

/** What an upload needs of its surroundings; tests replace it. */
export interface Surroundings {
  readonly send: SendChunk;
  /** Of the gateway for one request. */
  readonly limits?: ChunkLimits;
  readonly storage?: Storage;
}

const CONCURRENT_REQUESTS = 2;
const RETRY_DELAYS_MS = [1_000, 2_000, 4_000, 8_000, 15_000];

/**
 * Sends files in chunks under one upload key, until each is stored or has failed for a reason.
 *
 * It outlives the page that shows it: subscribe to it, and read `progress`, `fates` and `failures`.
 */
export class UploadRun {
  readonly fates: Fate[];
  /** By index of the file; several where it is a ZIP. */
  readonly failures = new Map<number, readonly Failure[]>();
  /** How many files of a ZIP are stored, by index of the ZIP. */
  readonly storedInZips = new Map<number, number>();
  progress: Progress;

  #phase: Phase = { name: 'paused' };
  #warnings: readonly string[] = [];
  #studyId: string | null;
  readonly #inFlight = new Set<{ readonly bytes: number; sentBytes: number }>();
  #doneBytes = 0;
  #stop = new AbortController();
  #retries = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #limits: ChunkLimits;
  readonly #fingerprints: readonly string[];
  readonly #listeners = new Set<() => void>();

  constructor(
    readonly files: readonly SelectedFile[],
    readonly values: UploadValues,
    readonly username: string,
    private readonly surroundings: Surroundings,
    earlier?: { readonly upload: UnfinishedUpload; readonly studyId: string | null },
  ) {
    const { limits = CHUNK_LIMITS } = surroundings;
    this.#limits = {
      files: Math.min(limits.files, CHUNK_LIMITS.files),
      bytes: Math.min(limits.bytes, CHUNK_LIMITS.bytes),
    };
    this.#fingerprints = files.map(fingerprint);
    const stored = new Set(earlier?.upload.stored);
    this.fates = this.#fingerprints.map((print) => (stored.has(print) ? 'stored' : 'waiting'));
    for (const [index, { file }] of files.entries()) {
      if (file.size > limits.bytes && this.fates[index] === 'waiting') this.#fail(index, 'OVER_LIMIT');
    }
    this.#doneBytes = bytesOf(files.filter((_, index) => this.fates[index] !== 'waiting'));
    this.#studyId = earlier?.studyId ?? null;
    this.progress = this.#measure();
  }

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  readonly getProgress = (): Progress => this.progress;

  /** Whether leaving the page would interrupt it. */
  get isUnderWay(): boolean {
    return this.#phase.name === 'sending' || this.#phase.name === 'interrupted';
  }

  /** Whether there is nothing more to do. */
  get isOver(): boolean {
    return this.#phase.name === 'finished' || this.#phase.name === 'cancelled';
  }

  /** Begin, go on after a pause, or try again at once. */
  start(): void {
    if (this.#phase.name === 'sending' || this.isOver) return;
    clearTimeout(this.#timer);
    this.#stop = new AbortController();
    this.#keep();
    this.#enter({ name: 'sending' });
    void this.#sendAll(this.#stop.signal);
  }

  /** Stop sending. What is under way is sent again later: the gateway stores nothing twice. */
  pause(): void {
    if (this.isUnderWay) this.#halt({ name: 'paused' });
  }

  /** Stop, and forget what is left. What is stored stays. */
  cancel(): void {
    this.#halt({ name: 'cancelled' });
    forget(this.values.uploadKey, this.surroundings.storage);
  }

  async #sendAll(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: CONCURRENT_REQUESTS }, () => this.#sendChunks(signal)));
    if (signal.aborted) return;
    forget(this.values.uploadKey, this.surroundings.storage);
    this.#enter({ name: 'finished' });
  }

  async #sendChunks(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waiting = [...this.fates.keys()].filter((index) => this.fates[index] === 'waiting');
      const chunk = firstChunk(
        waiting,
        (index) => this.#file(index).file.size,
        // of a request with one ZIP, the numbers say whether it is stored in part
        (index) => isZip(this.#file(index)),
        this.#limits,
      );
      if (chunk.length === 0) return;
      await this.#sendChunk(chunk, signal);
    }
  }

  async #sendChunk(chunk: readonly number[], signal: AbortSignal): Promise<void> {
    const files = chunk.map((index) => this.#file(index));
    const request = { bytes: bytesOf(files), sentBytes: 0 };
    this.#mark(chunk, 'sending');
    this.#inFlight.add(request);
    try {
      const onProgress = (sentBytes: number) => {
        // the form is larger than its files
        request.sentBytes = Math.min(sentBytes, request.bytes);
        this.#announce();
      };
      const result = await this.surroundings.send(files, this.values, onProgress, signal);
      if (signal.aborted) return;
      this.#inFlight.delete(request);
      this.#read(chunk, result);
      this.#keep();
      if (result.failed.some(({ code }) => code === 'ARCHIVE_UNAVAILABLE')) this.#interrupt();
      else this.#retries = 0;
      this.#announce();
    } catch (error) {
      if (signal.aborted) return;
      const hasFailed = await this.#failUnreadable(chunk);
      if (signal.aborted) return;
      this.#inFlight.delete(request);
      if (hasFailed) this.#resend(chunk);
      else if ((error as UploadError).isTemporary) this.#interrupt();
      else this.#halt({ name: 'rejected', error: error as UploadError });
    }
  }

  #read(chunk: readonly number[], result: ChunkResult): void {
    const storedFiles = result.uploaded + result.alreadyStored;
    for (const [at, index] of chunk.entries()) {
      const failures = result.failed.filter((failure) => failure.index === at);
      if (failures.some(({ code }) => code === 'ARCHIVE_UNAVAILABLE')) {
        this.fates[index] = 'waiting';
        continue;
      }
      const isZipStored = isZip(this.#file(index)) && storedFiles > 0;
      if (isZipStored) this.storedInZips.set(index, storedFiles);
      this.fates[index] = failures.length === 0 ? 'stored' : isZipStored ? 'partly' : 'failed';
      if (failures.length > 0) this.failures.set(index, failures);
      this.#doneBytes += this.#file(index).file.size;
    }
    this.#warnings = [...new Set([...this.#warnings, ...result.warnings])];
    this.#studyId ??= result.study?.orthancId ?? null;
  }

  /** A request with a file that cannot be read any more looks like a lost connection, and would fail again and again. */
  async #failUnreadable(chunk: readonly number[]): Promise<boolean> {
    const readable = await Promise.all(chunk.map((index) => isReadable(this.#file(index))));
    const unreadable = chunk.filter((_, at) => !readable[at]);
    for (const index of unreadable) {
      this.#fail(index, 'CHANGED');
      this.#doneBytes += this.#file(index).file.size;
    }
    return unreadable.length > 0;
  }

  #resend(chunk: readonly number[]): void {
    this.#mark(
      chunk.filter((index) => this.fates[index] === 'sending'),
      'waiting',
    );
    this.#announce();
  }

  /** A file that is not sent. */
  #fail(index: number, code: Failure['code']): void {
    const { file, folder } = this.#file(index);
    this.fates[index] = 'failed';
    this.failures.set(index, [{ index, name: file.name, seriesPath: folder, code }]);
  }

  #interrupt(): void {
    const delay = RETRY_DELAYS_MS[Math.min(this.#retries++, RETRY_DELAYS_MS.length - 1)] as number;
    this.#halt({ name: 'interrupted' });
    this.#timer = setTimeout(() => this.start(), delay);
  }

  #halt(phase: Phase): void {
    clearTimeout(this.#timer);
    this.#stop.abort();
    this.#inFlight.clear();
    this.#mark(
      [...this.fates.keys()].filter((index) => this.fates[index] === 'sending'),
      'waiting',
    );
    this.#enter(phase);
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#announce();
  }

  #mark(indexes: readonly number[], fate: Fate): void {
    for (const index of indexes) this.fates[index] = fate;
  }

  #file(index: number): SelectedFile {
    return this.files[index] as SelectedFile;
  }

  #keep(): void {
    keep(
      {
        uploadKey: this.values.uploadKey,
        username: this.username,
        keptAt: Date.now(),
        files: this.#fingerprints,
        stored: this.#fingerprints.filter((_, index) => ['stored', 'partly'].includes(this.fates[index] as Fate)),
      },
      this.surroundings.storage,
    );
  }

  #announce(): void {
    this.progress = this.#measure();
    for (const listener of this.#listeners) listener();
  }

  #measure(): Progress {
    const count = (...fates: Fate[]) => this.fates.reduce((sum, one) => sum + Number(fates.includes(one)), 0);
    const stored = count('stored');
    const failed = count('failed', 'partly');
    const images = (index: number) => this.storedInZips.get(index) ?? Number(this.fates[index] === 'stored');
    const sentBytes = [...this.#inFlight].reduce((bytes, request) => bytes + request.sentBytes, 0);
    const doneBytes = this.#doneBytes + sentBytes;
    const allBytes = bytesOf(this.files);
    return {
      phase: this.#phase,
      stored,
      failed,
      storedImages: [...this.fates.keys()].reduce((sum, index) => sum + images(index), 0),
      failedImages: [...this.failures.values()].reduce((sum, failures) => sum + failures.length, 0),
      doneBytes,
      allBytes,
      share: allBytes > 0 ? doneBytes / allBytes : (stored + failed) / this.files.length,
      warnings: this.#warnings,
      studyId: this.#studyId,
    };
  }
}
