import { contentOf } from './contents';

/** Files are looked at here, so that the page stays fluent. They are answered in their order. */
addEventListener('message', async ({ data: files }: MessageEvent<readonly File[]>) => {
  postMessage(await Promise.all(files.map(contentOf)));
});
