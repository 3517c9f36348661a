import { ActionIcon, Anchor, Badge, Button, Group, Table, Text, VisuallyHidden } from '@mantine/core';
import { IconListSearch, IconLock } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { auditPath, studyPath } from '../app/routes';
import { useSession } from '../app/session';
import { PersonName } from '../components/PersonName';
import { formatDate, formatDateTime } from '../i18n/format';
import type { Share, SharedStudy } from './operations';
import { titleOf } from './RevokeDialog';
import classes from './Shares.module.css';

const STATE_COLORS = { open: 'teal', expired: 'gray', revoked: 'red' } as const;

interface ShareTableProps {
  shares: readonly Share[];
  /** The studies that the archive still has, by Orthanc id; undefined until that is known. */
  studies: ReadonlyMap<string, SharedStudy> | undefined;
  withAuthors: boolean;
  onRevoke: (share: Share) => void;
}

export function ShareTable({ shares, studies, withAuthors, onRevoke }: ShareTableProps) {
  const { t } = useTranslation('shares');
  return (
    <Table className={classes.table} verticalSpacing="xs">
      <Table.Thead>
        <Table.Tr>
          <Table.Th>{t('column.study')}</Table.Th>
          {withAuthors && <Table.Th>{t('column.by')}</Table.Th>}
          <Table.Th>{t('column.allows')}</Table.Th>
          <Table.Th>{t('column.made')}</Table.Th>
          <Table.Th>{t('column.expires')}</Table.Th>
          <Table.Th>{t('column.opened')}</Table.Th>
          <Table.Th>{t('column.state')}</Table.Th>
          <Table.Th>
            <VisuallyHidden>{t('column.revoke')}</VisuallyHidden>
          </Table.Th>
        </Table.Tr>
      </Table.Thead>
      <Table.Tbody>
        {shares.map((share) => (
          <ShareRow
            key={share.id}
            share={share}
            study={studies?.get(share.studyOrthancId)}
            isGone={studies !== undefined && !studies.has(share.studyOrthancId)}
            withAuthor={withAuthors}
            onRevoke={() => onRevoke(share)}
          />
        ))}
      </Table.Tbody>
    </Table>
  );
}

interface ShareRowProps {
  share: Share;
  study: SharedStudy | undefined;
  isGone: boolean;
  withAuthor: boolean;
  onRevoke: () => void;
}

function ShareRow({ share, study, isGone, withAuthor, onRevoke }: ShareRowProps) {
  const { t } = useTranslation('shares');
  const { may } = useSession();
  const state = stateOf(share);
  const title = titleOf(share, study);
  return (
    <Table.Tr>
      <Table.Td className={classes.study}>
        {study ? (
          <>
            <Anchor component={Link} href={studyPath(study.orthancId)} inherit>
              <bdi dir="auto">{study.description || t('unnamed')}</bdi>
            </Anchor>
            <div className={classes.patient}>
              <PersonName name={study.patient.name} />
              <span>{formatDate(study.studyDate)}</span>
            </div>
          </>
        ) : (
          <>
            {isGone && <Text inherit>{t('unknownStudy')}</Text>}
            <div className={classes.patient}>{share.studyInstanceUID}</div>
          </>
        )}
      </Table.Td>
      {withAuthor && (
        <Table.Td data-label={t('column.by')}>
          <bdi>{share.createdBy}</bdi>
        </Table.Td>
      )}
      <Table.Td data-label={t('column.allows')}>
        {t(share.actions.includes('DOWNLOAD') ? 'download' : 'view')}
        {share.hasPassword && (
          <span className={classes.password}>
            <IconLock size={13} aria-hidden="true" />
            {t('password')}
          </span>
        )}
      </Table.Td>
      <Table.Td data-label={t('column.made')} className={classes.moment}>
        {formatDateTime(share.createdAt)}
      </Table.Td>
      <Table.Td data-label={t('column.expires')} className={classes.moment}>
        {formatDateTime(share.expiresAt)}
      </Table.Td>
      <Table.Td data-label={t('column.opened')} className={classes.moment}>
        {formatDateTime(share.openedAt) || t('never')}
      </Table.Td>
      <Table.Td data-label={t('column.state')}>
        <Badge variant="light" tt="none" radius="sm" color={STATE_COLORS[state]} className={classes.state}>
          {t(`state.${state}`)}
        </Badge>
      </Table.Td>
      <Table.Td>
        <Group gap="xs" wrap="nowrap" className={classes.actions}>
          {may('VIEW_AUDIT') && (
            <ActionIcon
              component={Link}
              href={auditPath({ user: `share:${share.id}` })}
              variant="subtle"
              color="gray"
              title={t('use', { study: title })}
              aria-label={t('use', { study: title })}
            >
              <IconListSearch size={17} aria-hidden="true" />
            </ActionIcon>
          )}
          {state === 'open' && (
            <Button
              variant="light"
              color="red"
              size="compact-sm"
              aria-label={t('revokeLink', { study: title })}
              onClick={onRevoke}
            >
              {t('revoke')}
            </Button>
          )}
        </Group>
      </Table.Td>
    </Table.Tr>
  );
}

function stateOf({ revokedAt, expiresAt }: Share): keyof typeof STATE_COLORS {
  if (revokedAt) return 'revoked';
  return Date.parse(expiresAt) > Date.now() ? 'open' : 'expired';
}
