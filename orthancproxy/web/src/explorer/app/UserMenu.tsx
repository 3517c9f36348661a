import { Menu } from '@mantine/core';
import {
  IconApi,
  IconBrandGraphql,
  IconCheck,
  IconDeviceDesktop,
  IconKey,
  IconLanguage,
  IconLogin,
  IconLogout,
  IconMoon,
  IconSettings,
  IconSun,
  IconUser,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';

import { LANGUAGES, type Language } from '../i18n/languages';
import { config, loginUrlTo } from './config';
import { logOut } from './logout';
import { COLOR_SCHEMES, usePreferences } from './preferences';
import { accountPath } from './routes';
import { UserButton } from './UserButton';

const COLOR_SCHEME_ICONS = { light: IconSun, dark: IconMoon, auto: IconDeviceDesktop } as const;

/** The menu, which is open when it is first rendered. */
export default function UserMenu() {
  const { t } = useTranslation('app');
  const { language, colorScheme, setLanguage, setColorScheme } = usePreferences();
  const loginUrl = loginUrlTo();
  return (
    <Menu defaultOpened position="bottom-end" width={230} shadow="md">
      <Menu.Target>
        <UserButton />
      </Menu.Target>
      <Menu.Dropdown>
        <Menu.Item component={Link} href={accountPath()} leftSection={<IconUser size={16} />}>
          {t('navigation.account')}
        </Menu.Item>
        {config.username && config.tokensUrl && (
          <Menu.Item component="a" href={config.tokensUrl} leftSection={<IconKey size={16} />}>
            {t('menu.tokens')}
          </Menu.Item>
        )}
        <Menu.Item component="a" href={config.graphqlUrl} leftSection={<IconBrandGraphql size={16} />}>
          GraphiQL
        </Menu.Item>
        {config.docsUrl && (
          <Menu.Item component="a" href={config.docsUrl} leftSection={<IconApi size={16} />}>
            {t('menu.docs')}
          </Menu.Item>
        )}
        {config.adminUrl && (
          <Menu.Item component="a" href={config.adminUrl} leftSection={<IconSettings size={16} />}>
            {t('menu.admin')}
          </Menu.Item>
        )}
        <Menu.Label>{t('menu.language')}</Menu.Label>
        {Object.entries(LANGUAGES).map(([code, label]) => (
          <Menu.Item
            key={code}
            lang={code}
            leftSection={<IconLanguage size={16} />}
            rightSection={language === code && <IconCheck size={16} />}
            aria-current={language === code || undefined}
            onClick={() => setLanguage(code as Language)}
          >
            {label}
          </Menu.Item>
        ))}
        <Menu.Label>{t('menu.colors')}</Menu.Label>
        {COLOR_SCHEMES.map((scheme) => {
          const Icon = COLOR_SCHEME_ICONS[scheme];
          return (
            <Menu.Item
              key={scheme}
              leftSection={<Icon size={16} />}
              rightSection={colorScheme === scheme && <IconCheck size={16} />}
              aria-current={colorScheme === scheme || undefined}
              onClick={() => setColorScheme(scheme)}
            >
              {t(`menu.${scheme}`)}
            </Menu.Item>
          );
        })}
        <Menu.Divider />
        {config.username
          ? config.logoutUrl && (
              <Menu.Item leftSection={<IconLogout size={16} />} onClick={() => void logOut()}>
                {t('menu.logOut')}
              </Menu.Item>
            )
          : loginUrl && (
              <Menu.Item component="a" href={loginUrl} leftSection={<IconLogin size={16} />}>
                {t('menu.logIn')}
              </Menu.Item>
            )}
      </Menu.Dropdown>
    </Menu>
  );
}
