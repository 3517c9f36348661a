import { expect, it } from 'vitest';
import type { DicomJson } from '../study/attributes';
import { reportOf } from './report';

const code = (meaning: string, value = 'x'): DicomJson => ({
  '00080100': { vr: 'SH', Value: [value] },
  '00080104': { vr: 'LO', Value: [meaning] },
});

function item(type: string, name: string, more: DicomJson): DicomJson {
  return {
    '0040A040': { vr: 'CS', Value: [type] },
    '0040A043': { vr: 'SQ', Value: [code(name)] },
    ...more,
  };
}

it('reads the kinds of values', () => {
  const report = item('CONTAINER', 'Imaging report', {
    '0040A730': {
      vr: 'SQ',
      Value: [
        item('TEXT', 'Finding', { '0040A160': { vr: 'UT', Value: ['소견 없음'] } }),
        item('CODE', 'Site', { '0040A168': { vr: 'SQ', Value: [code('Liver')] } }),
        item('PNAME', 'Observer', { '0040A123': { vr: 'PN', Value: [{ Alphabetic: 'Kim^Minsu' }] } }),
        item('NUM', 'Length', {
          '0040A300': {
            vr: 'SQ',
            Value: [
              {
                '0040A30A': { vr: 'DS', Value: [12.5] },
                '004008EA': { vr: 'SQ', Value: [code('millimeter', 'mm')] },
              },
            ],
          },
        }),
      ],
    },
  });
  const { name, children } = reportOf(report);
  expect(name).toBe('Imaging report');
  expect(children.map((child) => [child.name, child.value])).toEqual([
    ['Finding', '소견 없음'],
    ['Site', 'Liver'],
    ['Observer', 'Kim Minsu'],
    ['Length', '12.5 mm'],
  ]);
});

it('accepts what has no content', () => expect(reportOf({})).toEqual({ name: '', value: '', children: [] }));
