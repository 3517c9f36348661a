import { notify } from '../app/notify';
import i18n from '../i18n';
import { filesOfEntries } from './files';
import { selectWhenRead } from './selection';

/** Select what was dropped; null stands for what is not a file. */
export async function drop(entries: readonly (FileSystemEntry | null)[]): Promise<void> {
  try {
    const files = filesOfEntries(entries.filter((entry) => entry !== null));
    const isSelected = await selectWhenRead(files);
    if (isSelected && (await files).length > 0) return;
    await i18n.loadNamespaces('upload');
    notify.success(i18n.t(isSelected ? 'upload:empty' : 'upload:busy'));
  } catch (error) {
    notify.error(error as Error);
  }
}
