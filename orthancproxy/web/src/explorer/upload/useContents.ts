import { startTransition, useEffect, useState } from 'react';

import type { Content } from './contents';
import type { SelectedFile } from './files';

// sending a file to the worker takes up to 0.5 ms
const FILES_PER_MESSAGE = 25;
const SHOWN_EVERY_MS = 200;

/** Look at files in a worker, in their order: the contents of as many as it has looked at so far. */
export function useContents(files: readonly SelectedFile[]): readonly Content[] {
  const [found, setFound] = useState<{ files: readonly SelectedFile[]; contents: readonly Content[] }>({
    files,
    contents: [],
  });
  useEffect(() => {
    setFound({ files, contents: [] });
    const contents: Content[] = [];
    let shownAt = 0;
    const worker = new Worker(new URL('./contents.worker.ts', import.meta.url), { type: 'module' });
    let sent = 0;
    const sendMore = () => {
      const part = files.slice(sent, sent + FILES_PER_MESSAGE).map(({ file }) => file);
      sent += part.length;
      if (part.length > 0) worker.postMessage(part);
      else worker.terminate();
    };
    worker.onmessage = ({ data }: MessageEvent<Content[]>) => {
      contents.push(...data);
      sendMore();
      if (contents.length < files.length && performance.now() < shownAt + SHOWN_EVERY_MS) return;
      shownAt = performance.now();
      startTransition(() => setFound({ files, contents: [...contents] }));
    };
    sendMore();
    return () => worker.terminate();
  }, [files]);
  return found.files === files ? found.contents : [];
}
