// The gateway leaves these out as well; here they would be counted and sent first.
const LEFT_BEHIND =
  /^(\._.*|\.DS_Store|\.localized|(eh)?thumbs(_vista)?\.db|desktop\.ini|.*:Zone\.Identifier|\.directory|\.git(ignore|attributes|keep))$/i;
const LEFT_BEHIND_FOLDER =
  /^(__MACOSX|\.Trash(es|-\d+)?|\$RECYCLE\.BIN|RECYCLE[DR]|#recycle|@Recycle|\.recycle|@eaDir|@tmp|\.AppleDouble|\.Spotlight-V100|\.fseventsd|System Volume Information|\.git|\.svn|\.hg)$/i;

/** Whether an operating system or a NAS adds files of this name, or in this folder, to what people store. */
export function isLeftBehind(name: string, folder: string): boolean {
  return LEFT_BEHIND.test(name) || folder.split('/').some((part) => LEFT_BEHIND_FOLDER.test(part));
}
