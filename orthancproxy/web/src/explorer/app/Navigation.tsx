import { NavLink } from '@mantine/core';
import {
  IconActivityHeartbeat,
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
  sharesPath,
  statusPath,
  trashPath,
  uploadPath,
  worklistPath,
} from './routes';
import { useSession } from './session';

/** The pages in the navigation; those that need a permission are offered only to callers who have it. */
const ENTRIES: readonly {
  name: 'worklist' | 'upload' | 'jobs' | 'shares' | 'trash' | 'audit' | 'status' | 'account';
  path: string;
  Icon: typeof IconUser;
  /** One of these permissions. */
  needs?: readonly Action[];
}[] = [
  { name: 'worklist', path: worklistPath(), Icon: IconList, needs: ['VIEW'] },
  { name: 'upload', path: uploadPath(), Icon: IconUpload, needs: ['UPLOAD'] },
  { name: 'jobs', path: jobsPath(), Icon: IconSend, needs: BEGINS_JOBS },
  { name: 'shares', path: sharesPath(), Icon: IconShare, needs: ['SHARE'] },
  { name: 'trash', path: trashPath(), Icon: IconTrash, needs: ['DELETE'] },
  { name: 'audit', path: auditPath(), Icon: IconListSearch, needs: ['VIEW_AUDIT'] },
  { name: 'status', path: statusPath(), Icon: IconActivityHeartbeat, needs: ['VIEW'] },
  { name: 'account', path: accountPath(), Icon: IconUser },
];

export function Navigation() {
  const { t } = useTranslation('app');
  const { may, server } = useSession();
  const [location] = useLocation();
  return (
    <nav aria-label={t('navigation.label')}>
      {ENTRIES.filter(({ name, needs }) => (!needs || needs.some(may)) && (name !== 'trash' || server?.trashDays)).map(
        ({ name, path, Icon }) => (
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
        ),
      )}
    </nav>
  );
}
