import type { WorklistChangeFragment } from '../graphql/generated/graphql';
import { appendPage, mergeChanges, type Row, type Rows } from './rows';
import type { Sort } from './state';

export type Mark = 'arrived' | 'changed' | 'gone';

export interface Page extends Rows {
  total: number;
}

/** What a worklist reads from. */
export interface Source {
  firstPage(first: number): Promise<Page>;
  nextPage(after: string): Promise<Rows>;
  /** The studies with these UIDs that match the filter, and how many match it in total. */
  changed(studyInstanceUIDs: string[]): Promise<{ found: readonly Row[]; total: number }>;
  /** Follow the changes of the archive. Returns a function that stops. */
  follow(
    after: string | null,
    next: (change: WorklistChangeFragment) => void,
    end: (error: unknown) => void,
  ): () => void;
}

export interface Snapshot {
  list: Page | null;
  isLoading: boolean;
  error: Error | null;
  marks: ReadonlyMap<string, Mark>;
  isLive: boolean;
}

// two screens: the next page is fetched while they are looked at
export const FIRST_PAGE = 50;
const MAX_PAGE = 1000;
// more are read anew at once
const MAX_CHANGED = 200;

/** The times of a live worklist, in milliseconds. */
export const TIMES = {
  mark: 6000,
  gone: 3000,
  gather: 500,
  reconnect: 2000,
  longestReconnect: 30_000,
  refresh: 60_000,
};

/** The studies of one filter and order: pages as they are needed, and what happens to them meanwhile. */
export class Worklist {
  scrollOffset = 0;
  #snapshot: Snapshot = { list: null, isLoading: false, error: null, marks: new Map(), isLive: true };
  #listeners = new Set<() => void>();
  #timers = new Set<ReturnType<typeof setTimeout>>();
  #stop: (() => void) | null = null;
  #cursor: string | null = null;
  #changes = new Map<string, WorklistChangeFragment>();
  #gathering = false;
  #generation = 0;
  #failures = 0;

  constructor(
    private readonly source: Source,
    private readonly sort: Sort,
    private readonly times = TIMES,
  ) {}

  subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  getSnapshot = (): Snapshot => this.#snapshot;

  /** Follow the changes, and read the first page or what has changed since `close`. */
  open(): void {
    const resumes = this.#cursor !== null;
    // the stream first, then the list: nothing falls between them
    this.#follow();
    if (!this.#snapshot.list || !resumes) void this.reload();
    if (this.#changes.size) this.#gather();
  }

  close(): void {
    this.#stop?.();
    this.#stop = null;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#gathering = false;
    // what is being read now may be older than what `open` is told
    this.#generation += 1;
    const { list, marks } = this.#snapshot;
    const rows = list?.rows.filter((row) => marks.get(row.id) !== 'gone') ?? [];
    this.#set({ list: list && { ...list, rows }, marks: new Map(), isLoading: false });
  }

  /** Read the list anew, as far as it was read. */
  reload = async (): Promise<void> => {
    const generation = ++this.#generation;
    this.#set({ isLoading: true, error: null });
    try {
      const shown = this.#snapshot.list?.rows.length ?? 0;
      const list = await this.source.firstPage(Math.min(Math.max(shown, FIRST_PAGE), MAX_PAGE));
      if (generation === this.#generation) this.#set({ list, isLoading: false });
    } catch (error) {
      if (generation === this.#generation) this.#set({ error: error as Error, isLoading: false });
    }
  };

  /** Read anew what no change is told of: deletions behind the gateway where it has no index (Orthanc before 1.12.5). */
  refresh(): void {
    const { list, isLoading } = this.#snapshot;
    if (list && list.rows.length <= MAX_PAGE && !isLoading) void this.reload();
  }

  /** Read the next page, unless one is being read. */
  loadMore = async (): Promise<void> => {
    const { list, isLoading } = this.#snapshot;
    if (!list?.hasNextPage || !list.endCursor || isLoading) return;
    const generation = this.#generation;
    this.#set({ isLoading: true, error: null });
    try {
      const page = await this.source.nextPage(list.endCursor);
      if (generation !== this.#generation) return;
      const current = this.#snapshot.list ?? list;
      this.#set({ list: { ...appendPage(current, page), total: current.total }, isLoading: false });
    } catch (error) {
      if (generation === this.#generation) this.#set({ error: error as Error, isLoading: false });
    }
  };

  #follow(): void {
    this.#stop?.();
    this.#stop = this.source.follow(
      this.#cursor,
      (change) => {
        this.#cursor = change.cursor;
        this.#isFollowed();
        this.#changes.set(change.orthancId, this.#combine(change));
        this.#gather();
      },
      (error) => this.#reconnect(error),
    );
  }

  // an arrival stays one, whatever happens to the study in the same moment
  #combine(change: WorklistChangeFragment): WorklistChangeFragment {
    const before = this.#changes.get(change.orthancId);
    return before?.kind === 'ADDED' && change.kind !== 'DELETED' ? { ...change, kind: before.kind } : change;
  }

  #reconnect(error: unknown): void {
    this.#stop = null;
    this.#set({ isLive: false });
    const expired = hasCode(error, 'CURSOR_EXPIRED');
    if (expired) this.#cursor = null;
    const delay = Math.min(this.times.reconnect * 2 ** this.#failures, this.times.longestReconnect);
    this.#failures += 1;
    this.#after(delay, () => {
      const misses = this.#cursor === null;
      this.#follow();
      // a stream does not tell that it is open: one that has lasted is
      this.#after(this.times.reconnect, () => this.#stop && this.#isFollowed());
      if (misses) void this.reload();
    });
  }

  #isFollowed(): void {
    this.#failures = 0;
    if (!this.#snapshot.isLive) this.#set({ isLive: true });
  }

  #gather(): void {
    if (this.#gathering) return;
    this.#gathering = true;
    this.#after(this.times.gather, () => void this.#merge());
  }

  async #merge(): Promise<void> {
    if (this.#snapshot.isLoading) {
      // a list that was read before these changes would take the place of theirs
      this.#after(this.times.gather, () => void this.#merge());
      return;
    }
    const changes = [...this.#changes.values()];
    this.#changes.clear();
    try {
      await this.#apply(changes);
    } catch {
      // the list is complete again after the next one
      for (const change of changes)
        if (!this.#changes.has(change.orthancId)) this.#changes.set(change.orthancId, change);
      this.#after(this.times.reconnect, () => void this.#merge());
      return;
    }
    this.#gathering = false;
    if (this.#changes.size) this.#gather();
  }

  async #apply(changes: WorklistChangeFragment[]): Promise<void> {
    const generation = this.#generation;
    const deleted = new Set(changes.filter((change) => change.kind === 'DELETED').map((change) => change.orthancId));
    const present = changes.filter((change) => change.level === 'STUDY' && change.kind !== 'DELETED');
    const uids = present.map((change) => change.studyInstanceUID).filter((uid) => uid != null);
    if (uids.length > MAX_CHANGED) return this.reload();
    const { found, total } = await this.source.changed(uids);
    const list = this.#snapshot.list;
    if (generation !== this.#generation || !list) return;

    const before = new Set(list.rows.map((row) => row.id));
    const changedIds = new Set(present.map((change) => change.globalId));
    const merged = mergeChanges(list, changedIds, found, this.sort);
    const gone = list.rows.filter((row) => deleted.has(row.orthancId) || deleted.has(row.patient.orthancId));
    const kinds = new Map(present.map((change) => [change.globalId, change.kind]));
    const marks = new Map<string, Mark>(gone.map((row) => [row.id, 'gone']));
    for (const row of found) {
      if (!before.has(row.id)) marks.set(row.id, 'arrived');
      else if (kinds.get(row.id) !== 'STABLE') marks.set(row.id, 'changed');
    }
    this.#set({ list: { ...merged, total } });
    this.#mark(marks);
  }

  #mark(added: ReadonlyMap<string, Mark>): void {
    if (!added.size) return;
    const marks = new Map([...this.#snapshot.marks, ...added]);
    this.#set({ marks });
    const remove = (isRemoved: (mark: Mark) => boolean) => {
      const left = new Map(this.#snapshot.marks);
      for (const [id, mark] of added) if (isRemoved(mark) && left.get(id) === mark) left.delete(id);
      this.#set({ marks: left });
    };
    this.#after(this.times.mark, () => remove((mark) => mark !== 'gone'));
    this.#after(this.times.gone, () => {
      const list = this.#snapshot.list;
      if (list) this.#set({ list: { ...list, rows: list.rows.filter((row) => added.get(row.id) !== 'gone') } });
      remove((mark) => mark === 'gone');
    });
  }

  #after(milliseconds: number, action: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      action();
    }, milliseconds);
    this.#timers.add(timer);
  }

  #set(part: Partial<Snapshot>): void {
    this.#snapshot = { ...this.#snapshot, ...part };
    for (const listener of this.#listeners) listener();
  }
}

function hasCode(error: unknown, code: string): boolean {
  const errors = (error as { errors?: readonly { extensions?: Record<string, unknown> }[] } | null)?.errors ?? [];
  return errors.some((one) => one.extensions?.code === code);
}
