import { Alert, List, ScrollArea, Title } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import { ChangeTable } from '../components/ChangeTable';
import type { Anonymized } from './operations';

/** What an anonymization changes, and what a person should look at. */
export function Preview({ preview, warnings }: Pick<Anonymized, 'preview' | 'warnings'>) {
  const { t } = useTranslation('anonymize');
  const heading = useId();
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
            {warnings.map(({ code }) => (
              <List.Item key={code}>{t(`warning.${code}`)}</List.Item>
            ))}
          </List>
        ) : (
          t('noWarnings')
        )}
      </Alert>
      {preview.length > 0 && (
        <>
          <Title order={3} size="h5" id={heading}>
            {t('changes')}
          </Title>
          <ScrollArea.Autosize
            mah="40vh"
            viewportProps={{ tabIndex: 0, role: 'region', 'aria-labelledby': heading }}
            type="auto"
          >
            <ChangeTable
              changes={preview.map(({ keyword, before, after }) => ({
                keyword,
                before: before === null ? [] : [before],
                after,
              }))}
            />
          </ScrollArea.Autosize>
        </>
      )}
    </>
  );
}
