import type { TFunction } from 'i18next';

import type { JobProgressFragment } from '../graphql/generated/graphql';
import { formatNumber } from '../i18n/format';

const CODES = ['DESTINATION_FAILED', 'SOURCE_FAILED', 'JOB_LOST', 'NOT_FOUND', 'FORBIDDEN'] as const;

/** How a job ended, in sentences: what it has done, or why it failed. */
export function sentencesOf({ state, result, error }: JobProgressFragment, t: TFunction<'jobs'>): string[] {
  const count = result?.instancesCount;
  const done = state === 'SUCCESS' && typeof count === 'number';
  const leftOut = result?.leftOutCount;
  const rejected = result?.rejected.length;
  const code = CODES.find((known) => known === error?.code);
  return [
    done && t('done', { count, number: formatNumber(count) }),
    leftOut && t('leftOut', { count: leftOut, number: formatNumber(leftOut) }),
    // the server's own sentence is in English
    rejected && t('rejected', { count: rejected, number: formatNumber(rejected) }),
    error && (code ? t(`error.${code}`) : error.message || t('error.other')),
    error?.dimseStatus && t('dimseStatus', { status: error.dimseStatus }),
  ].filter((sentence): sentence is string => Boolean(sentence));
}
