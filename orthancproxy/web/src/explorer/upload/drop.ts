import { notify } from '../app/notify';
import i18n from '../i18n';
import { filesOfEntries } from './files';
import { selectWhenRead } from './selection';

/** Select what was dropped; null stands for what is not a file. */
export async function drop(entries: readonly (FileSystemEntry | null)[]): Promise<void> {
  try {
    const files = filesOfEntries(entries.filter((entry) => entry !== null));
    if (await selectWhenRead(files)) return;
    await i18n.loadNamespaces('upload');
    notify.success(i18n.t('upload:busy'));
  } catch (error) {
    notify.error(error as Error);
  }
}
