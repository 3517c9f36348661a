import { Anchor, List, ScrollArea } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useRouter } from 'wouter';

import { viewerPath } from '../app/routes';
import { formatNumber } from '../i18n/format';
import { bySeries } from './bySeries';
import type { ListedInstance } from './operations';

interface InstancesWithTextProps {
  instances: readonly ListedInstance[];
  studyOrthancId: string;
}

/** Where there is text in pixels: the series, each with the numbers of its images. */
export function InstancesWithText({ instances, studyOrthancId }: InstancesWithTextProps) {
  const { t } = useTranslation('anonymize');
  // beside the dialog, which goes on
  const { base } = useRouter();
  return (
    <ScrollArea.Autosize mah="20vh">
      <List size="sm" withPadding>
        {bySeries(instances).map(({ series, count, numbers }) => (
          <List.Item key={series.id}>
            <Anchor
              href={base + viewerPath(studyOrthancId, [series.orthancId])}
              target="_blank"
              rel="noreferrer"
              size="sm"
              underline="always"
            >
              {[t('series', { number: series.seriesNumber ?? '' }).trim(), series.modality].filter(Boolean).join(' · ')}
            </Anchor>
            {`: ${t('images', { count, number: formatNumber(count) })}${numbers && ` (${numbers})`}`}
          </List.Item>
        ))}
      </List>
    </ScrollArea.Autosize>
  );
}
