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
        item('DATE', 'Day', { '0040A121': { vr: 'DA', Value: ['20260131'] } }),
        item('DATETIME', 'Moment', { '0040A13A': { vr: 'DT', Value: ['20260131134501.5+0900'] } }),
        item('DATETIME', 'Year', { '0040A13A': { vr: 'DT', Value: ['2026'] } }),
        item('TIME', 'Time', { '0040A122': { vr: 'TM', Value: ['0905'] } }),
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
  expect(children.map((child) => [child.name, child.value.replace(/\s/g, ' ')])).toEqual([
    ['Finding', '소견 없음'],
    ['Site', 'Liver'],
    ['Observer', 'Kim Minsu'],
    ['Day', 'Jan 31, 2026'],
    ['Moment', 'Jan 31, 2026 1:45:01 PM +0900'],
    ['Year', '2026'],
    ['Time', '9:05:00 AM'],
    ['Length', '12.5 mm'],
  ]);
});

it('accepts what has no content', () => expect(reportOf({})).toEqual({ name: '', value: '', children: [] }));
