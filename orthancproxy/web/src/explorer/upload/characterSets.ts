/** Encodings of the Web by defined term of SpecificCharacterSet (PS3.3 section C.12.1.1.2). */
const ENCODINGS: Readonly<Record<string, string>> = {
  'ISO_IR 6': 'windows-1252',
  'ISO_IR 100': 'windows-1252',
  'ISO_IR 101': 'iso-8859-2',
  'ISO_IR 109': 'iso-8859-3',
  'ISO_IR 110': 'iso-8859-4',
  'ISO_IR 144': 'iso-8859-5',
  'ISO_IR 127': 'iso-8859-6',
  'ISO_IR 126': 'iso-8859-7',
  'ISO_IR 138': 'iso-8859-8',
  'ISO_IR 148': 'windows-1254',
  'ISO_IR 203': 'iso-8859-15',
  'ISO_IR 166': 'windows-874',
  'ISO_IR 13': 'shift_jis',
  'ISO_IR 87': 'iso-2022-jp',
  'ISO_IR 159': 'iso-2022-jp',
  'ISO_IR 149': 'euc-kr',
  'ISO_IR 58': 'gbk',
  'ISO_IR 192': 'utf-8',
  GB18030: 'gb18030',
  GBK: 'gbk',
};

/**
 * Decode text of a DICOM file for display. The gateway's own decoding of what is stored is more thorough.
 *
 * `characterSet` is SpecificCharacterSet as stored, multiple values joined by backslashes.
 */
export function decode(bytes: Uint8Array, characterSet: string): string {
  const terms = characterSet.split('\\').map((term) => term.trim().toUpperCase().replace('ISO 2022 IR', 'ISO_IR'));
  // A term of two bytes says more than the one for Latin letters before it.
  const encodings = terms.map((term) => ENCODINGS[term]).filter((encoding) => encoding !== undefined);
  const encoding =
    encodings.find((encoding) => encoding !== 'windows-1252' && encoding !== 'shift_jis') ?? encodings[0];
  return strict(bytes, 'utf-8', encoding === undefined || encoding === 'windows-1252') ?? loose(bytes, encoding);
}

/** Valid UTF-8 is UTF-8 where the file names no character set, or the one that devices name without thinking. */
function strict(bytes: Uint8Array, encoding: string, isTried: boolean): string | undefined {
  if (!isTried) return undefined;
  try {
    return trimmed(new TextDecoder(encoding, { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
}

function loose(bytes: Uint8Array, encoding = 'windows-1252'): string {
  const text = new TextDecoder(encoding).decode(bytes);
  // Escape sequences of ISO 2022 for EUC-KR and GBK, which are the same with and without them.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is the escape
  return trimmed(encoding === 'iso-2022-jp' ? text : text.replaceAll(/\u001b[$(-/]+[A-Z0-9]?/g, ''));
}

function trimmed(text: string): string {
  return text.replace(/[\s\0]+$/, '').trimStart();
}
