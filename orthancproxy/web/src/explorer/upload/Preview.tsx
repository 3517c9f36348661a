import { Alert, Table, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';

import { Section } from '../components/Section';
import { formatBytes, formatNumber } from '../i18n/format';
import classes from './Preview.module.css';
import type { Summary } from './summary';

const MAX_SHOWN = 300;
const MAX_NAMES_SHOWN = 5;

/** What will be stored: a series for each modality in a folder. */
export function Preview({ summary, isRead }: { summary: Summary; isRead: boolean }) {
  const { t } = useTranslation('upload');
  const { series, suspects } = summary;
  return (
    <Section title={t('preview')}>
      {series.length > 0 && (
        // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, also by keyboard
        <section className={classes.table} tabIndex={0} aria-label={t('series')}>
          <Table stickyHeader>
            <Table.Thead>
              <Table.Tr>
                <Table.Th>{t('series')}</Table.Th>
                <Table.Th>{t('modality')}</Table.Th>
                <Table.Th className={classes.figure}>{t('number')}</Table.Th>
                <Table.Th className={classes.figure}>{t('size')}</Table.Th>
              </Table.Tr>
            </Table.Thead>
            <Table.Tbody>
              {series.slice(0, MAX_SHOWN).map(({ folder, modality, description, files, bytes }) => (
                <Table.Tr key={JSON.stringify([folder, modality])}>
                  <Table.Td className={classes.series}>
                    <bdi>{folder || t('noFolder')}</bdi>
                    {description && (
                      <Text size="xs" c="dimmed">
                        <bdi dir="auto">{description}</bdi>
                      </Text>
                    )}
                  </Table.Td>
                  <Table.Td>{modality}</Table.Td>
                  <Table.Td className={classes.figure}>{formatNumber(files)}</Table.Td>
                  <Table.Td className={classes.figure}>{formatBytes(bytes)}</Table.Td>
                </Table.Tr>
              ))}
            </Table.Tbody>
          </Table>
          {series.length > MAX_SHOWN && (
            <Text size="sm" c="dimmed" p="xs">
              {t('moreSeries', { number: formatNumber(series.length - MAX_SHOWN) })}
            </Text>
          )}
        </section>
      )}
      {isRead && series.length === 0 && <Text>{t('noDicom')}</Text>}
      {suspects.length > 0 && (
        <Alert color="yellow" variant="light" mt="sm" role="status" icon={<IconAlertTriangle />}>
          {t('suspects', { count: suspects.length, number: formatNumber(suspects.length) })}{' '}
          <bdi className={classes.names}>{suspects.slice(0, MAX_NAMES_SHOWN).join(', ')}</bdi>
          {suspects.length > MAX_NAMES_SHOWN && ', …'}
        </Alert>
      )}
    </Section>
  );
}
