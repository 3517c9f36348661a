import { describe, expect, it } from 'vitest';

import type { NameFragment } from '../graphql/generated/graphql';
import { confirmationOf, isConfirmed } from './confirmation';

const WORD = 'delete';

function name(alphabetic: string, ideographic?: string, phonetic?: string): NameFragment {
  const group = (formatted?: string) => (formatted === undefined ? null : { formatted });
  return {
    formatted: alphabetic,
    alphabetic: group(alphabetic),
    ideographicGroup: group(ideographic),
    phoneticGroup: group(phonetic),
  };
}

describe('what has to be typed', () => {
  it('is the name, in any of its groups', () => {
    const confirmation = confirmationOf({ name: name('Hong, Gildong', '洪吉洞', '홍길동'), patientId: '1' }, WORD);
    expect(confirmation).toMatchObject({ kind: 'name', shown: 'Hong, Gildong' });
    for (const typed of [
      'Hong, Gildong',
      ' hong,  GILDONG ',
      'Hong Gildong',
      '洪吉洞',
      '홍길동',
      '홍길동'.normalize('NFD'),
    ])
      expect(isConfirmed(confirmation, typed)).toBe(true);
    for (const typed of ['', ' ', 'Hong', '1', WORD]) expect(isConfirmed(confirmation, typed)).toBe(false);
  });

  it('does not contain marks of direction, which nobody can type', () => {
    const confirmation = confirmationOf({ name: name('\u202eكريم\u202c') }, WORD);
    expect(confirmation.shown).toBe('كريم');
    expect(isConfirmed(confirmation, 'كريم')).toBe(true);
  });

  it('is the PatientID of a patient without a name that can be typed', () => {
    for (const unusable of [null, name(''), name('\u200b'), name('x'.repeat(300))])
      expect(confirmationOf({ name: unusable, patientId: 'KR-1' }, WORD)).toMatchObject({
        kind: 'patientId',
        shown: 'KR-1',
      });
  });

  it('has the punctuation of a PatientID, and of a name that has nothing else', () => {
    for (const person of [{ name: null, patientId: '1-23' }, { name: name('???') }]) {
      const confirmation = confirmationOf(person, WORD);
      for (const typed of ['12-3', '123', '', '??']) expect(isConfirmed(confirmation, typed)).toBe(false);
      expect(isConfirmed(confirmation, confirmation.shown)).toBe(true);
    }
  });

  it('is a word for a patient without either', () => {
    const confirmation = confirmationOf({ name: null, patientId: '' }, WORD);
    expect(confirmation).toMatchObject({ kind: 'word', shown: WORD });
    expect(isConfirmed(confirmation, 'Delete')).toBe(true);
    expect(isConfirmed(confirmation, '')).toBe(false);
  });
});
