import { expect, test } from 'vitest';

import { firstChunk } from './chunks';
import { emptyStorage, selected } from './exampleFiles';
import { filesOfEntries, fingerprint } from './files';
import { forget, keep, recognize, type UnfinishedUpload, unfinishedUploads } from './unfinished';

/** What the browser has of a dropped file, or of a folder, whose entries it gives in parts. */
function entry(fullPath: string, ...parts: FileSystemEntry[][]): FileSystemEntry {
  const name = fullPath.split('/').at(-1) ?? '';
  const file = (resolve: (file: File) => void) => resolve(new File([name], name));
  const createReader = () => ({
    readEntries: (resolve: (part: FileSystemEntry[]) => void) => resolve(parts.shift() ?? []),
  });
  return { isFile: parts.length === 0, fullPath, name, file, createReader } as unknown as FileSystemEntry;
}

test('a dropped folder is read whole, in the order of people, without what systems add', async () => {
  const series = entry('/CD/T1', [entry('/CD/T1/IM10'), entry('/CD/T1/IM2')], [entry('/CD/T1/.DS_Store')]);
  const files = await filesOfEntries([entry('/CD', [series], [entry('/CD/README')]), entry('/one.dcm')]);
  expect(files.map(({ folder, file }) => [folder, file.name])).toEqual([
    ['', 'one.dcm'],
    ['CD', 'README'],
    ['CD/T1', 'IM2'],
    ['CD/T1', 'IM10'],
  ]);
});

test.each([
  ['the number of files', [1, 1, 1, 1], [], 3],
  ['bytes', [4, 5, 4], [], 2],
  ['a file larger than a request', [20, 1], [], 1],
  ['a ZIP, which is a request of its own', [1, 1, 1], [1], 1],
  ['a ZIP at first', [1, 1, 1], [0], 1],
])('a request is limited by %s', (_, sizes, zips: number[], count) => {
  const chunk = firstChunk(
    [...sizes.keys()],
    (index) => sizes[index] ?? 0,
    (index) => zips.includes(index),
    { files: 3, bytes: 10 },
  );
  expect(chunk).toEqual([...sizes.keys()].slice(0, count));
});

test('an upload is recognized by its files, and the browser keeps no name', () => {
  const storage = emptyStorage();
  const files = [selected('Kim.dcm', 'T1'), selected('Lee.dcm', 'T1')];
  const upload: UnfinishedUpload = {
    uploadKey: 'k1',
    username: 'me',
    keptAt: Date.now(),
    files: files.map(fingerprint),
    stored: [],
  };
  keep(upload, storage);
  keep({ ...upload, uploadKey: 'k2', username: 'another' }, storage);
  keep({ ...upload, uploadKey: 'k3', keptAt: Date.now() - 15 * 24 * 60 * 60 * 1000 }, storage);
  expect(
    JSON.stringify([...Array(storage.length).keys()].map((at) => storage.getItem(storage.key(at) ?? ''))),
  ).not.toMatch(/Kim|T1/);
  expect(unfinishedUploads('me', storage)).toEqual([upload]);
  expect(recognize(files.slice(1), [upload])).toBe(upload);
  expect(recognize([selected('Kim.dcm', 'T2')], [upload])).toBeUndefined();
  forget('k1', storage);
  expect(unfinishedUploads('me', storage)).toEqual([]);
});
