import { Alert, List } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import { ChangeTable } from '../components/ChangeTable';
import { ScrollRegion } from '../components/ScrollRegion';
import { InstancesWithText } from './InstancesWithText';
import type { Anonymized } from './operations';

interface PreviewProps extends Pick<Anonymized, 'preview' | 'warnings'> {
  studyOrthancId: string;
}

/** What an anonymization changes, and what a person should look at. */
export function Preview({ preview, warnings, studyOrthancId }: PreviewProps) {
  const { t } = useTranslation('anonymize');
  return (
    <>
      <Alert
        color="orange"
        variant="light"
        icon={<IconAlertTriangle aria-hidden="true" />}
        title={warnings.length > 0 ? t('warnings') : undefined}
        role="status"
      >
        {warnings.length > 0 ? (
          <List size="sm">
            {warnings.map(({ code, instances }) => (
              <List.Item key={code}>
                {t(`warning.${code}`)}
                {instances && <InstancesWithText instances={instances} studyOrthancId={studyOrthancId} />}
              </List.Item>
            ))}
          </List>
        ) : (
          t('noWarnings')
        )}
      </Alert>
      {preview.length > 0 && (
        <ScrollRegion title={t('changes')} maxHeight="40vh">
          <ChangeTable
            changes={preview.map(({ keyword, before, after }) => ({
              keyword,
              before: before === null ? [] : [before],
              after,
            }))}
          />
        </ScrollRegion>
      )}
    </>
  );
}
