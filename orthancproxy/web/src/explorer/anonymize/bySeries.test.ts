import { expect, test } from 'vitest';

import { bySeries } from './bySeries';
import type { ListedInstance } from './operations';

function instance(series: string, instanceNumber: number | null): ListedInstance {
  return {
    id: `${series}-${instanceNumber}`,
    instanceNumber,
    series: { id: series, orthancId: series, modality: 'US', seriesNumber: 1 },
  };
}

test('instances are grouped by series, with the ranges of their numbers', () => {
  const instances = [
    ...[3, 1, 2, 7, 7].map((number) => instance('a', number)),
    instance('b', null),
    instance('a', 10),
    instance('a', 11),
  ];
  expect(bySeries(instances).map(({ series, count, numbers }) => [series.id, count, numbers])).toEqual([
    ['a', 7, '1–3, 7, 10–11'],
    ['b', 1, ''],
  ]);
});
