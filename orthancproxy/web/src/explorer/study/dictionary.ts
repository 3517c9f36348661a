import { useEffect, useState } from 'react';

/** The keywords of DICOM's data elements (PS3.6) by tag: eight hexadecimal digits, `x` for any. */
export type Dictionary = ReadonlyMap<string, string>;

export function parseDictionary(text: string): Dictionary {
  return new Map(
    text
      .trim()
      .split('\n')
      .map((line) => line.split(' ') as [string, string]),
  );
}

/** The keyword of a tag; empty if it has none. */
export function keywordIn(dictionary: Dictionary, tag: string): string {
  return dictionary.get(tag) ?? dictionary.get(`${tag.slice(0, 2)}xx${tag.slice(4)}`) ?? '';
}

let loading: Promise<Dictionary> | undefined;

/** The dictionary (45 kB), loaded once. */
export function loadDictionary(): Promise<Dictionary> {
  loading ??= import('./dictionary.txt?raw').then(
    ({ default: text }) => parseDictionary(text),
    (error) => {
      // the next call tries again
      loading = undefined;
      throw error;
    },
  );
  return loading;
}

/** The same for components; undefined until it is loaded. */
export function useDictionary(): Dictionary | undefined {
  const [dictionary, setDictionary] = useState<Dictionary>();
  useEffect(() => {
    // without it, tags have no keywords
    loadDictionary().then(setDictionary, () => undefined);
  }, []);
  return dictionary;
}
