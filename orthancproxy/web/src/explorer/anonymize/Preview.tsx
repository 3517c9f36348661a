import { Alert, List, ScrollArea, Table, Text, Title } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useId } from 'react';
import { useTranslation } from 'react-i18next';

import classes from './Anonymize.module.css';
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
            <Table aria-labelledby={heading} className={classes.changes} verticalSpacing={4}>
              <Table.Thead>
                <Table.Tr>
                  <Table.Th scope="col">{t('column.tag')}</Table.Th>
                  <Table.Th scope="col">{t('column.before')}</Table.Th>
                  <Table.Th scope="col">{t('column.after')}</Table.Th>
                </Table.Tr>
              </Table.Thead>
              <Table.Tbody>
                {preview.map(({ keyword, before, after }) => (
                  <Table.Tr key={keyword}>
                    <Table.Th scope="row" fw={500}>
                      {keyword}
                    </Table.Th>
                    <Table.Td>
                      <Value value={before} absent={t('added')} />
                    </Table.Td>
                    <Table.Td>
                      <Value value={after} absent={t('removed')} />
                    </Table.Td>
                  </Table.Tr>
                ))}
              </Table.Tbody>
            </Table>
          </ScrollArea.Autosize>
        </>
      )}
    </>
  );
}

function Value({ value, absent }: { value: string | null; absent: string }) {
  const { t } = useTranslation('anonymize');
  if (value) return <bdi dir="auto">{value}</bdi>;
  return (
    <Text span size="sm" className={classes.none}>
      {value === null ? absent : t('empty')}
    </Text>
  );
}
