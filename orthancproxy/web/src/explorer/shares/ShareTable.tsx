import { ActionIcon, Badge, Button, Group } from '@mantine/core';
import { IconListSearch, IconLock } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { auditPath } from '../app/routes';
import { useSession } from '../app/session';
import { type ListColumn, ListTable } from '../components/ListTable';
import { StudyCell } from '../components/StudyCell';
import type { StudyCellFragment } from '../graphql/generated/graphql';
import { formatDateTime } from '../i18n/format';
import type { Share } from './operations';
import { titleOf } from './RevokeDialog';
import classes from './Shares.module.css';

const STATE_COLORS = { open: 'teal', expired: 'gray', revoked: 'red' } as const;

interface ShareTableProps {
  shares: readonly Share[];
  /** The studies that the archive still has, by Orthanc id; undefined until that is known. */
  studies: ReadonlyMap<string, StudyCellFragment> | undefined;
  withAuthors: boolean;
  onRevoke: (share: Share) => void;
}

export function ShareTable({ shares, studies, withAuthors, onRevoke }: ShareTableProps) {
  const { t } = useTranslation('shares');
  const columns: ListColumn<Share>[] = [
    { title: t('column.study'), cell: (share) => <SharedStudy share={share} studies={studies} /> },
    ...(withAuthors ? [{ title: t('column.by'), cell: ({ createdBy }: Share) => <bdi>{createdBy}</bdi> }] : []),
    { title: t('column.allows'), cell: (share) => <Allowed share={share} /> },
    { title: t('column.made'), cell: ({ createdAt }) => formatDateTime(createdAt), isMoment: true },
    { title: t('column.expires'), cell: ({ expiresAt }) => formatDateTime(expiresAt), isMoment: true },
    { title: t('column.opened'), cell: ({ openedAt }) => formatDateTime(openedAt) || t('never'), isMoment: true },
    {
      title: t('column.state'),
      cell: (share) => (
        <Badge variant="light" tt="none" radius="sm" miw="max-content" color={STATE_COLORS[stateOf(share)]}>
          {t(`state.${stateOf(share)}`)}
        </Badge>
      ),
    },
    {
      title: t('column.revoke'),
      isUntitled: true,
      cell: (share) => (
        <ShareButtons share={share} study={studies?.get(share.studyOrthancId)} onRevoke={() => onRevoke(share)} />
      ),
    },
  ];
  return <ListTable columns={columns} rows={shares} />;
}

function SharedStudy({ share, studies }: { share: Share; studies: ShareTableProps['studies'] }) {
  const { t } = useTranslation('shares');
  const study = studies?.get(share.studyOrthancId);
  if (study) return <StudyCell study={study} untitled={t('unnamed')} />;
  return (
    <>
      {studies && <div>{t('unknownStudy')}</div>}
      <div className={classes.secondary}>{share.studyInstanceUID}</div>
    </>
  );
}

function Allowed({ share: { actions, hasPassword } }: { share: Share }) {
  const { t } = useTranslation('shares');
  return (
    <>
      {t(actions.includes('DOWNLOAD') ? 'download' : 'view')}
      {hasPassword && (
        <span className={classes.secondary}>
          <IconLock size={13} aria-hidden="true" />
          {t('password')}
        </span>
      )}
    </>
  );
}

interface ShareButtonsProps {
  share: Share;
  study: StudyCellFragment | undefined;
  onRevoke: () => void;
}

function ShareButtons({ share, study, onRevoke }: ShareButtonsProps) {
  const { t } = useTranslation('shares');
  const { may } = useSession();
  const title = titleOf(share, study);
  return (
    <Group gap="xs" wrap="nowrap" justify="flex-end">
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
      {stateOf(share) === 'open' && (
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
  );
}

function stateOf({ revokedAt, expiresAt }: Share): keyof typeof STATE_COLORS {
  if (revokedAt) return 'revoked';
  return Date.parse(expiresAt) > Date.now() ? 'open' : 'expired';
}
