import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { CodedError } from '../app/errors';
import { emptyStorage, selected } from './exampleFiles';
import type { SelectedFile } from './files';
import type { ChunkResult, Failure, SendChunk, UploadError } from './request';
import { UploadRun } from './UploadRun';
import { unfinishedUploads } from './unfinished';

const VALUES = { patientId: 'P1', patientName: 'Kim', studyDescription: '', uploadKey: 'k1' };
const FILES = Array.from({ length: 120 }, (_, at) => selected(`IM${at}`, 'T1'));

let storage: Storage;

beforeEach(() => {
  storage = emptyStorage();
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
});
afterEach(() => void vi.useRealTimers());

function stored(files: readonly SelectedFile[], result: Partial<ChunkResult> = {}): ChunkResult {
  const study = { orthancId: 'study' };
  return { uploaded: files.length, alreadyStored: 0, failed: [], warnings: [], study, ...result };
}

function failure(index: number, code: Failure['code'], name = ''): Failure {
  return { index, name, seriesPath: null, code };
}

class TestError extends CodedError {
  constructor(
    code: string,
    readonly isTemporary: boolean,
  ) {
    super(code);
  }
}

function start(send: SendChunk, files: readonly SelectedFile[] = FILES): UploadRun {
  const run = new UploadRun(files, VALUES, 'me', { send, storage });
  run.start();
  return run;
}

async function reach(run: UploadRun, phase: string): Promise<void> {
  await vi.waitFor(() => expect(run.progress.phase.name).toBe(phase));
}

test('files are sent in requests of at most 50, two at a time', async () => {
  const sizes: number[] = [];
  let concurrent = 0;
  const run = start(async (files) => {
    sizes.push(files.length);
    concurrent++;
    expect(concurrent).toBeLessThanOrEqual(2);
    await new Promise(setImmediate);
    concurrent--;
    return stored(files);
  });
  await reach(run, 'finished');
  expect(sizes).toEqual([50, 50, 20]);
  expect(run.progress).toMatchObject({ stored: 120, failed: 0, share: 1, studyId: 'study', storedImages: 120 });
  expect(unfinishedUploads('me', storage)).toEqual([]);
});

test('a file that fails has its reason, and the others are stored', async () => {
  const run = start(async (files) => stored(files, { failed: [failure(1, 'NOT_DICOM')], warnings: ['Check.'] }));
  await reach(run, 'finished');
  expect(run.progress).toMatchObject({ stored: 117, failed: 3, warnings: ['Check.'] });
  expect(run.fates[1]).toBe('failed');
  expect(run.failures.get(51)).toEqual([failure(1, 'NOT_DICOM')]);
});

test('an archive that is unavailable is tried again, with the files that it has not stored', async () => {
  const sent: string[] = [];
  let isAvailable = false;
  const run = start(async (files) => {
    if (isAvailable) sent.push(...files.map(({ file }) => file.name));
    return stored(files, {
      failed: isAvailable ? [] : files.slice(1).map((_, at) => failure(at + 1, 'ARCHIVE_UNAVAILABLE')),
    });
  });
  await reach(run, 'interrupted');
  const before = run.progress.stored;
  expect(before).toBeGreaterThan(0);
  isAvailable = true;
  await vi.advanceTimersByTimeAsync(1_000);
  await reach(run, 'finished');
  expect(run.progress.stored).toBe(120);
  expect(new Set(sent).size).toBe(120 - before);
});

test('a lost connection is tried again, ever more seldom, until it is back', async () => {
  let attempts = 0;
  const run = start(async (files) => {
    if (++attempts < 6) throw new TestError('NETWORK', true) as unknown as UploadError;
    return stored(files);
  });
  await reach(run, 'interrupted');
  await vi.advanceTimersByTimeAsync(60_000);
  await reach(run, 'finished');
  expect(run.progress.stored).toBe(120);
});

test('an upload that is rejected stops, and can begin again', async () => {
  let isRejected = true;
  const run = start(async (files) => {
    if (isRejected) throw new TestError('BAD_USER_INPUT', false) as unknown as UploadError;
    return stored(files);
  });
  await reach(run, 'rejected');
  isRejected = false;
  run.start();
  await reach(run, 'finished');
});

test('after a pause, what was under way is sent again', async () => {
  const answers: (() => void)[] = [];
  const run = start((files, _values, onProgress, signal) => {
    onProgress(1);
    return new Promise((resolve, reject) => {
      answers.push(() => resolve(stored(files)));
      signal.addEventListener('abort', () => reject(new TestError('NETWORK', true)));
    });
  });
  await vi.waitFor(() => expect(answers).toHaveLength(2));
  answers[0]?.();
  await vi.waitFor(() => expect(run.progress.stored).toBe(50));
  run.pause();
  expect(run.progress).toMatchObject({ phase: { name: 'paused' }, stored: 50 });
  expect(run.fates.filter((fate) => fate === 'sending')).toEqual([]);
  run.start();
  await vi.waitFor(() => expect(answers).toHaveLength(5));
  for (const answer of answers) answer();
  await reach(run, 'finished');
  expect(run.progress).toMatchObject({ stored: 120, share: 1 });
});

test('an upload goes on after a reload, without the files that are stored', async () => {
  let requests = 0;
  const before = start(async (files) => {
    if (++requests > 1) throw new TestError('FORBIDDEN', false) as unknown as UploadError;
    return stored(files);
  });
  await reach(before, 'rejected');
  const [upload] = unfinishedUploads('me', storage);
  if (!upload) throw new Error('Nothing is kept.');
  const sent: SelectedFile[] = [];
  const send: SendChunk = async (files) => {
    sent.push(...files);
    return stored(files, { study: null });
  };
  const after = new UploadRun(FILES, VALUES, 'me', { send, storage }, { upload, studyId: 'study' });
  expect(after.progress.stored).toBe(before.progress.stored);
  after.start();
  await reach(after, 'finished');
  expect(sent).toHaveLength(120 - before.progress.stored);
  expect(after.progress.studyId).toBe('study');
});

test('a cancelled upload sends nothing more and is forgotten', async () => {
  const run = start(() => new Promise(() => undefined));
  run.cancel();
  run.start();
  expect(run.progress.phase.name).toBe('cancelled');
  expect(unfinishedUploads('me', storage)).toEqual([]);
});

test('a ZIP is sent alone, and counts as the files in it', async () => {
  const files = [selected('a'), selected('cd.zip'), selected('b'), selected('empty.zip')];
  const run = start(async (chunk) => {
    if (chunk[0]?.file.name === 'cd.zip')
      return stored(chunk, { uploaded: 30, failed: [failure(0, 'NOT_DICOM', 'readme')] });
    if (chunk[0]?.file.name === 'empty.zip') return stored(chunk, { uploaded: 0, failed: [failure(0, 'EMPTY')] });
    return stored(chunk);
  }, files);
  await reach(run, 'finished');
  expect(run.fates).toEqual(['stored', 'partly', 'stored', 'failed']);
  expect(run.progress).toMatchObject({ stored: 2, failed: 2, storedImages: 32, failedImages: 2 });
});

test('a file that cannot be read any more, or is over the limit, is not sent', async () => {
  const gone = selected('gone');
  gone.file.slice = () => ({ arrayBuffer: () => Promise.reject(new Error('deleted')) }) as unknown as Blob;
  const files = [gone, selected('large', '', 'x'.repeat(20)), selected('a')];
  const sent: string[] = [];
  const send: SendChunk = async (chunk) => {
    if (chunk.includes(gone)) throw new TestError('NETWORK', true);
    sent.push(...chunk.map(({ file }) => file.name));
    return stored(chunk);
  };
  const run = new UploadRun(files, VALUES, 'me', { send, storage, limits: { files: 10, bytes: 10 } });
  run.start();
  await reach(run, 'finished');
  expect(sent).toEqual(['a']);
  expect([...run.failures.values()].flat().map(({ code }) => code)).toEqual(['OVER_LIMIT', 'CHANGED']);
  expect(run.progress).toMatchObject({ stored: 1, failed: 2, share: 1 });
});
