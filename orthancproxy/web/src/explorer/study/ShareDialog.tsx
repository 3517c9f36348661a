import { useMutation } from '@apollo/client/react';
import {
  Alert,
  Button,
  CopyButton,
  Group,
  Modal,
  PasswordInput,
  Radio,
  SegmentedControl,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { IconCheck, IconCopy } from '@tabler/icons-react';
import { useId, useState } from 'react';
import { useTranslation } from 'react-i18next';

import { ErrorMessage } from '../app/ErrorMessage';
import { useSession } from '../app/session';
import type { ShareAction, ShareStudyMutation } from '../graphql/generated/graphql';
import { formatDateTime } from '../i18n/format';
import { SHARE_STUDY } from './operations';
import classes from './ShareDialog.module.css';

const DAYS = [1, 3, 7, 14, 30];
const DAY_MS = 86_400_000;
/** The gateway's clock may be behind, and the longest of these days is its default maximum. */
const MAX_CLOCK_DIFFERENCE_MS = 300_000;

interface ShareDialogProps {
  studyOrthancId: string;
  opened: boolean;
  onClose: () => void;
}

/** Makes a link to a study for people without an account. */
export function ShareDialog({ studyOrthancId, opened, onClose }: ShareDialogProps) {
  const { t } = useTranslation('study');
  return (
    <Modal
      opened={opened}
      onClose={onClose}
      title={t('share.title')}
      closeButtonProps={{ 'aria-label': t('actions.close') }}
      centered
    >
      <ShareForm studyOrthancId={studyOrthancId} onClose={onClose} />
    </Modal>
  );
}

function ShareForm({ studyOrthancId, onClose }: Omit<ShareDialogProps, 'opened'>) {
  const { t } = useTranslation('study');
  const { may } = useSession();
  const [allowed, setAllowed] = useState<ShareAction>(may('DOWNLOAD') ? 'DOWNLOAD' : 'VIEW');
  const [days, setDays] = useState(7);
  const [password, setPassword] = useState('');
  const expiresLabel = useId();
  const [share, { data, loading, error }] = useMutation(SHARE_STUDY);
  if (data) return <Link share={data.shareStudy.share} onClose={onClose} />;

  function submit(): void {
    const expiresAt = new Date(Date.now() + days * DAY_MS - MAX_CLOCK_DIFFERENCE_MS).toISOString();
    const actions: ShareAction[] = allowed === 'DOWNLOAD' ? ['VIEW', 'DOWNLOAD'] : ['VIEW'];
    // its error is shown
    share({ variables: { input: { studyOrthancId, actions, expiresAt, password: password || null } } }).catch(
      () => undefined,
    );
  }

  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      <Stack gap="md">
        <Text size="sm" c="dimmed">
          {t('share.text')}
        </Text>
        <Radio.Group label={t('share.allow')} value={allowed} onChange={(chosen) => setAllowed(chosen as ShareAction)}>
          <Stack gap="xs" mt="xs">
            {may('DOWNLOAD') && <Radio value="DOWNLOAD" label={t('share.download')} />}
            <Radio value="VIEW" label={t('share.view')} />
          </Stack>
        </Radio.Group>
        <div>
          <Text size="sm" fw={500} mb={4} id={expiresLabel}>
            {t('share.expires')}
          </Text>
          <SegmentedControl
            fullWidth
            aria-labelledby={expiresLabel}
            value={String(days)}
            onChange={(chosen) => setDays(Number(chosen))}
            data={DAYS.map((count) => ({ value: String(count), label: t('share.days', { count }) }))}
          />
        </div>
        <PasswordInput
          label={t('share.password')}
          description={t('share.passwordHint')}
          value={password}
          onChange={(event) => setPassword(event.currentTarget.value)}
          autoComplete="new-password"
        />
        {error && <ErrorMessage error={error} />}
        <Group justify="flex-end">
          <Button variant="default" onClick={onClose}>
            {t('delete.cancel')}
          </Button>
          <Button type="submit" loading={loading}>
            {t('share.make')}
          </Button>
        </Group>
      </Stack>
    </form>
  );
}

type NewShare = ShareStudyMutation['shareStudy']['share'];

function Link({ share, onClose }: { share: NewShare; onClose: () => void }) {
  const { t } = useTranslation('study');
  const url = share.url ?? '';
  return (
    <Stack gap="md">
      <Group align="flex-end" wrap="nowrap">
        <TextInput
          label={t('share.link')}
          value={url}
          readOnly
          className={classes.link}
          onFocus={(event) => event.currentTarget.select()}
          data-autofocus
        />
        <CopyButton value={url}>
          {({ copied, copy }) => (
            <Button onClick={copy} leftSection={copied ? <IconCheck size={16} /> : <IconCopy size={16} />}>
              {copied ? t('share.copied') : t('share.copy')}
            </Button>
          )}
        </CopyButton>
      </Group>
      <Alert color="yellow" variant="light">
        {t('share.once')}
      </Alert>
      <Group justify="space-between">
        <Text size="sm" c="dimmed">
          {t('share.until', { moment: formatDateTime(share.expiresAt) })}
        </Text>
        <Button variant="default" onClick={onClose}>
          {t('share.close')}
        </Button>
      </Group>
    </Stack>
  );
}
