import { ActionIcon, Anchor, Badge, Code, Table, Text, UnstyledButton, VisuallyHidden } from '@mantine/core';
import { IconChevronRight } from '@tabler/icons-react';
import { Fragment, type ReactNode, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import { patientPath, studyPath } from '../app/routes';
import { formatDateTime, formatNumber } from '../i18n/format';
import classes from './Audit.module.css';
import type { AuditEvent } from './events';
import { described } from './export';

const OUTCOME_COLORS = { SUCCESS: 'teal', DENIED: 'orange', FAILED: 'red', INTENDED: 'gray' } as const;
const MAX_SUBJECTS = 2;

interface EventTableProps {
  events: readonly AuditEvent[];
  /** Show only events that have this value, too. */
  onNarrow: (name: 'user' | 'patient' | 'study' | 'request', value: string) => void;
}

export function EventTable({ events, onNarrow }: EventTableProps) {
  const { t } = useTranslation('audit');
  return (
    <Table className={classes.table} verticalSpacing={6} mt="xs">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t('column.at')}</Table.Th>
          <Table.Th>{t('column.user')}</Table.Th>
          <Table.Th>{t('column.event')}</Table.Th>
          <Table.Th>{t('column.subjects')}</Table.Th>
          <Table.Th>{t('column.outcome')}</Table.Th>
          <Table.Th className={classes.wide}>{t('column.address')}</Table.Th>
          <Table.Th>
            <VisuallyHidden>{t('column.details')}</VisuallyHidden>
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {events.map((event) => (
          <EventRow key={event.id} event={event} onNarrow={onNarrow} />
        ))}
      </Table.Tbody>
    </Table>
  );
}

function EventRow({ event, onNarrow }: { event: AuditEvent; onNarrow: EventTableProps['onNarrow'] }) {
  const { t } = useTranslation('audit');
  const [opened, setOpened] = useState(false);
  const narrow = (name: Parameters<typeof onNarrow>[0], value: string, label = value) => (
    <UnstyledButton
      className={classes.value}
      title={t('narrow', { value: label })}
      aria-label={t('narrow', { value: label })}
      onClick={() => onNarrow(name, value)}
    >
      <bdi>{label}</bdi>
    </UnstyledButton>
  );
  const subjects = opened ? event.subjects : event.subjects.slice(0, MAX_SUBJECTS);
  const details = `event-${event.id}`;
  return (
    <Fragment>
      <Table.Tr className={event.outcome === 'INTENDED' ? classes.intended : undefined}>
        <Table.Td className={classes.at}>{formatDateTime(event.at, 'medium')}</Table.Td>
        <Table.Td className={classes.user}>
          {event.username ? narrow('user', event.username, userLabel(event.username, t)) : t('anonymous')}
          <Text size="xs" c="dimmed">
            {t(`authentication.${event.authentication}`)}
          </Text>
        </Table.Td>
        <Table.Td>
          {t(`event.${event.event}`)}
          <Text size="xs" c="dimmed" className={classes.operation}>
            {event.operation}
          </Text>
        </Table.Td>
        <Table.Td className={classes.subjects}>
          {subjects.map(({ patientId, studyInstanceUID }, index) => (
            <div key={`${patientId} ${studyInstanceUID}`}>
              {/* once above the patient's studies */}
              {patientId && patientId !== subjects[index - 1]?.patientId && narrow('patient', patientId)}
              {studyInstanceUID && <Text size="xs">{narrow('study', studyInstanceUID)}</Text>}
            </div>
          ))}
          {subjects.length < event.subjects.length && (
            <Text size="xs" c="dimmed">
              {t('moreSubjects', { count: event.subjects.length - subjects.length })}
            </Text>
          )}
        </Table.Td>
        <Table.Td>
          <Badge
            variant="light"
            tt="none"
            radius="sm"
            className={classes.outcome}
            color={OUTCOME_COLORS[event.outcome]}
          >
            {t(`outcome.${event.outcome}`)}
          </Badge>
          {event.errorCode && (
            <Text size="xs" c="dimmed" className={classes.operation}>
              {event.errorCode}
            </Text>
          )}
        </Table.Td>
        <Table.Td className={classes.wide}>{event.address}</Table.Td>
        <Table.Td>
          <ActionIcon
            variant="subtle"
            color="gray"
            aria-label={t('showDetails')}
            aria-expanded={opened}
            aria-controls={opened ? details : undefined}
            onClick={() => setOpened(!opened)}
          >
            <IconChevronRight size={16} aria-hidden="true" className={opened ? classes.opened : undefined} />
          </ActionIcon>
        </Table.Td>
      </Table.Tr>
      {opened && (
        <Table.Tr id={details} className={classes.detailsRow}>
          <Table.Td colSpan={7}>
            <dl className={classes.details}>
              <Detail name={t('column.id')}>{event.id}</Detail>
              <Detail name={t('column.address')}>{event.address}</Detail>
              <Detail name={t('column.target')}>{event.target && <Target target={event.target} />}</Detail>
              <Detail name={t('column.counts')}>{described(event.counts)}</Detail>
              <Detail name={t('column.changes')}>{described(event.details)}</Detail>
              <Detail name={t('column.duration')}>{formatNumber(Math.round(event.durationMs))}</Detail>
              <Detail name={t('column.request')}>{event.requestId && narrow('request', event.requestId)}</Detail>
              <Detail name={t('column.code')}>{event.code}</Detail>
              <Detail name={t('column.intention')}>{event.intentionId}</Detail>
            </dl>
          </Table.Td>
        </Table.Tr>
      )}
    </Fragment>
  );
}

function Detail({ name, children }: { name: string; children: ReactNode }) {
  if (!children) return null;
  return (
    <div>
      <dt>{name}</dt>
      <dd dir="auto">{children}</dd>
    </div>
  );
}

/** A target such as `studies/<Orthanc id>`, as a link where the resource has a page. */
function Target({ target }: { target: string }) {
  const [level, orthancId = ''] = target.split('/');
  const path = level === 'studies' ? studyPath(orthancId) : level === 'patients' ? patientPath(orthancId) : null;
  return path ? (
    <Anchor component={Link} href={path} inherit>
      {target}
    </Anchor>
  ) : (
    <Code>{target}</Code>
  );
}

function userLabel(username: string, t: (key: 'shareLink', options: { id: string }) => string): string {
  return username.startsWith('share:') ? t('shareLink', { id: username.slice('share:'.length) }) : username;
}
