/** How the content of an instance is shown. */

export type Content = 'image' | 'pdf' | 'report' | 'video' | 'other';

const PDF = '1.2.840.10008.5.1.4.1.1.104.1';
const REPORTS = '1.2.840.10008.5.1.4.1.1.88.';
const KEY_OBJECTS = '1.2.840.10008.5.1.4.1.1.88.59';

// Storage classes without pictures that a browser can show (PS3.4 B.5): the others are tried.
const OTHERS = [
  '1.2.840.10008.5.1.4.1.1.9.', // waveforms
  '1.2.840.10008.5.1.4.1.1.11.', // presentation states
  '1.2.840.10008.5.1.4.1.1.66', // raw data, registrations, segmentations, surfaces
  '1.2.840.10008.5.1.4.1.1.67', // real world values
  '1.2.840.10008.5.1.4.1.1.68.', // surface scans
  '1.2.840.10008.5.1.4.1.1.104.', // documents
  '1.2.840.10008.5.1.4.1.1.481.3', // RT structure set
  '1.2.840.10008.5.1.4.1.1.481.4', // RT treatment records
  '1.2.840.10008.5.1.4.1.1.481.5', // RT plan
  '1.2.840.10008.5.1.4.1.1.481.6',
  '1.2.840.10008.5.1.4.1.1.481.7',
  '1.2.840.10008.5.1.4.1.1.481.8',
  '1.2.840.10008.5.1.4.1.1.481.9',
  '1.2.840.10008.5.1.4.34.', // RT procedures
  KEY_OBJECTS,
];

// MPEG-4 and HEVC (PS3.5 A.4.6 to A.4.12); browsers do not play MPEG-2.
const VIDEO = /^1\.2\.840\.10008\.1\.2\.4\.10([2-8])(\.1)?$/;
const MPEG2 = /^1\.2\.840\.10008\.1\.2\.4\.10[01](\.1)?$/;

export function contentOf(
  sopClassUID: string | null | undefined,
  transferSyntaxUID: string | null | undefined,
): Content {
  const sopClass = sopClassUID ?? '';
  if (sopClass === PDF) return 'pdf';
  if (OTHERS.some((prefix) => sopClass.startsWith(prefix))) return 'other';
  if (sopClass.startsWith(REPORTS)) return 'report';
  if (VIDEO.test(transferSyntaxUID ?? '')) return 'video';
  return MPEG2.test(transferSyntaxUID ?? '') ? 'other' : 'image';
}
