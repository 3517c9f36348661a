import { nameGroups } from '../components/PersonName';
import type { NameFragment } from '../graphql/generated/graphql';

/** A name in DICOM has at most 64 characters a group (PS3.5 section 6.2). Nobody types a longer one. */
const MAX_TYPED_CHARACTERS = 64;

interface Person {
  name?: NameFragment | null;
  patientId?: string | null;
}

/** What has to be typed before a patient's data is deleted. */
export interface Confirmation {
  kind: 'name' | 'patientId' | 'word';
  /** What the dialog shows. */
  shown: string;
  /** Any of these is accepted. */
  accepted: readonly string[];
}

/** The patient's name in any of its groups; without one that can be typed the PatientID; without either, `word`. */
export function confirmationOf({ name, patientId }: Person, word: string): Confirmation {
  const names = nameGroups(name).filter(isTypable);
  if (names[0]) return { kind: 'name', shown: visible(names[0]), accepted: names };
  if (patientId && isTypable(patientId)) return { kind: 'patientId', shown: visible(patientId), accepted: [patientId] };
  return { kind: 'word', shown: word, accepted: [word] };
}

/** Whether the text is what has to be typed. Case, width, blanks and characters that nobody sees do not matter, nor does the punctuation of names. */
export function isConfirmed({ kind, accepted }: Confirmation, typed: string): boolean {
  const folding = kind === 'name' ? foldName : fold;
  const folded = folding(typed);
  return folded !== '' && accepted.some((text) => folding(text) === folded);
}

function isTypable(text: string): boolean {
  return fold(text) !== '' && text.length <= MAX_TYPED_CHARACTERS;
}

function fold(text: string): string {
  return visible(text.normalize('NFKC')).replaceAll(' ', '').toLowerCase();
}

/** The comma of `Hong, Gildong` is the page's, not the person's; a name such as `---` has nothing else. */
function foldName(text: string): string {
  const folded = fold(text);
  return folded.replace(/\p{P}+/gu, '') || folded;
}

/** Without control and format characters, such as marks of the direction of text. */
function visible(text: string): string {
  return text
    .replace(/\p{Cf}/gu, '')
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();
}
