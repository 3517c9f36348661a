import { describe, expect, it } from 'vitest';
import { asOf, filterOf } from './filter';

const of = (query: string) => filterOf(new URLSearchParams(query));

describe('filterOf', () => {
  it('returns an empty filter for a URL without parameters', () => {
    expect(of('')).toEqual({});
    expect(of('user=&event=&outcome=&from=')).toEqual({});
  });

  it('reads each parameter', () => {
    expect(
      of('event=DELETION&event=IMPORT&outcome=FAILED&user=kim&patient=P-1&study=1.2&operation=delete&address=::1'),
    ).toEqual({
      events: ['IMPORT', 'DELETION'],
      outcome: 'FAILED',
      username: 'kim',
      patientId: 'P-1',
      studyInstanceUID: '1.2',
      operation: 'delete',
      address: '::1',
    });
    expect(of('outcome=UNFINISHED')).toEqual({ isUnfinished: true });
  });

  it('ignores what no filter has', () => {
    expect(of('event=x&outcome=x&from=x&to=2026-1-1&other=x')).toEqual({});
  });

  it('includes the last day', () => {
    const { since, until } = of('from=2026-12-31&to=2026-12-31');
    expect(since).toBe(new Date(2026, 11, 31).toISOString());
    expect(until).toBe(new Date(2027, 0, 1).toISOString());
  });
});

describe('asOf', () => {
  it('ends after the newest event, unless the filter ends earlier', () => {
    expect(asOf({ username: 'kim' }, '2026-11-29T05:00:00.123456+00:00')).toEqual({
      username: 'kim',
      until: '2026-11-29T05:00:00.124Z',
    });
    expect(asOf({ until: '2026-11-01T00:00:00.000Z' }, '2026-11-29T05:00:00+00:00').until).toBe(
      '2026-11-01T00:00:00.000Z',
    );
  });
});
