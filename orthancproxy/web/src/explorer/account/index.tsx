import { useQuery } from '@apollo/client/react';
import { Anchor, Badge, Button, Group, SegmentedControl, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';

import { config, loginUrlTo } from '../app/config';
import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { logOut } from '../app/logout';
import { COLOR_SCHEMES, usePreferences } from '../app/preferences';
import { useLoadedSession } from '../app/session';
import { Page } from '../components/Page';
import { Section } from '../components/Section';
import { graphql } from '../graphql/generated';
import type { CallerFragment } from '../graphql/generated/graphql';
import { LANGUAGES, type Language } from '../i18n/languages';
import classes from './Account.module.css';

// what callers without any permission may read, who have no session otherwise
const ACCOUNT = graphql(`
  query Account {
    viewer {
      ...Caller
    }
  }
`);

export default function Account() {
  const { t } = useTranslation('account');
  const session = useLoadedSession();
  const { data, error } = useQuery(ACCOUNT, { skip: !session.error });
  const viewer = session.viewer ?? data?.viewer;
  return (
    <Page title={t('title')}>
      {error && <ErrorMessage error={error} />}
      {viewer ? <Caller viewer={viewer} /> : !error && <Loading />}
      {viewer?.username && config.tokensUrl && (
        <Section title={t('tokens')}>
          <Text mb="sm">{t('tokensText')}</Text>
          <Anchor href={config.tokensUrl}>{t('manageTokens')}</Anchor>
        </Section>
      )}
      <Appearance />
    </Page>
  );
}

function Caller({ viewer }: { viewer: CallerFragment }) {
  const { t } = useTranslation(['account', 'app']);
  const loginUrl = loginUrlTo();
  return (
    <Section title={t('caller')}>
      <dl className={classes.facts}>
        <dt>{t('loggedInAs')}</dt>
        <dd>{viewer.username ? <bdi>{viewer.username}</bdi> : t('anonymous')}</dd>
        <dt>{t('permissions')}</dt>
        <dd>
          <Group gap="xs">
            {viewer.actions.map((action) => (
              <Badge key={action} variant="light" tt="none" radius="sm" className={classes.action}>
                {t(`actions.${action}`)}
              </Badge>
            ))}
            {viewer.actions.length === 0 && t('none')}
          </Group>
        </dd>
        <dt>{t('scopes')}</dt>
        <dd>
          {viewer.scopes.length === 0 && t('everything')}
          {viewer.scopes.map(({ kind, value }) => (
            <div key={`${kind} ${value}`}>{t(`scope.${kind}`, { value })}</div>
          ))}
        </dd>
      </dl>
      {viewer.username
        ? config.logoutUrl && (
            <Button variant="default" onClick={() => void logOut()}>
              {t('app:menu.logOut')}
            </Button>
          )
        : loginUrl && (
            <Button component="a" href={loginUrl}>
              {t('app:menu.logIn')}
            </Button>
          )}
    </Section>
  );
}

function Appearance() {
  const { t } = useTranslation(['account', 'app']);
  const { language, colorScheme, setLanguage, setColorScheme } = usePreferences();
  return (
    <Section title={t('appearance')}>
      <Group gap="xl">
        <SegmentedControl
          aria-label={t('language')}
          value={language}
          onChange={(chosen) => setLanguage(chosen as Language)}
          data={Object.entries(LANGUAGES).map(([value, label]) => ({ value, label }))}
        />
        <SegmentedControl
          aria-label={t('colors')}
          value={colorScheme}
          onChange={setColorScheme}
          data={COLOR_SCHEMES.map((value) => ({ value, label: t(`app:menu.${value}`) }))}
        />
      </Group>
    </Section>
  );
}
