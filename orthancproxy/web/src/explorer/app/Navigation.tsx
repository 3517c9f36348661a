import { NavLink } from '@mantine/core';
import {
  IconActivityHeartbeat,
  IconDatabaseSearch,
  IconList,
  IconListSearch,
  IconSend,
  IconShare,
  IconTrash,
  IconUpload,
  IconUser,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation } from 'wouter';

import type { Action } from '../graphql/generated/graphql';
import { BEGINS_JOBS } from '../jobs/unfinished';
import { UploadShare } from '../upload/UploadShare';
import {
  accountPath,
  auditPath,
  jobsPath,
  retrievePath,
  sharesPath,
  statusPath,
  trashPath,
  uploadPath,
  worklistPath,
} from './routes';
import { useSession } from './session';

/** The pages in the navigation; those that need a permission are offered only to callers who have it. */
const ENTRIES: readonly {
  name: 'worklist' | 'upload' | 'retrieve' | 'jobs' | 'shares' | 'trash' | 'audit' | 'status' | 'account';
  path: string;
  Icon: typeof IconUser;
  /** One of these permissions. */
  needs?: readonly Action[];
  /** Not for callers with an access scope. */
  seesAll?: true;
}[] = [
  { name: 'worklist', path: worklistPath(), Icon: IconList, needs: ['VIEW'] },
  { name: 'upload', path: uploadPath(), Icon: IconUpload, needs: ['UPLOAD'] },
  { name: 'retrieve', path: retrievePath(), Icon: IconDatabaseSearch, needs: ['RETRIEVE'], seesAll: true },
  { name: 'jobs', path: jobsPath(), Icon: IconSend, needs: BEGINS_JOBS },
  { name: 'shares', path: sharesPath(), Icon: IconShare, needs: ['SHARE'] },
  { name: 'trash', path: trashPath(), Icon: IconTrash, needs: ['DELETE'] },
  { name: 'audit', path: auditPath(), Icon: IconListSearch, needs: ['VIEW_AUDIT'] },
  { name: 'status', path: statusPath(), Icon: IconActivityHeartbeat, needs: ['VIEW'] },
  { name: 'account', path: accountPath(), Icon: IconUser },
];

export function Navigation() {
  const { t } = useTranslation('app');
  const { may, server, viewer } = useSession();
  const [location] = useLocation();
  const entries = ENTRIES.filter(
    ({ name, needs, seesAll }) =>
      (!needs || needs.some(may)) &&
      (!seesAll || viewer?.scopes.length === 0) &&
      (name !== 'trash' || server?.trashDays),
  );
  return (
    <nav aria-label={t('navigation.label')}>
      {entries.map(({ name, path, Icon }) => (
        <NavLink
          key={name}
          component={Link}
          href={path}
          active={location === path}
          aria-current={location === path ? 'page' : undefined}
          label={t(`navigation.${name}`)}
          leftSection={<Icon size={18} stroke={1.6} aria-hidden="true" />}
          rightSection={name === 'upload' && <UploadShare />}
        />
      ))}
    </nav>
  );
}
