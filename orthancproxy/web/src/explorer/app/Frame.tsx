import { Burger } from '@mantine/core';
import { useDisclosure, useNetwork } from '@mantine/hooks';
import { type ReactNode, useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation, useRoute } from 'wouter';

import { JobCorner } from '../jobs/JobCorner';
import { DropAnywhere } from '../upload/DropAnywhere';
import { ErrorBoundary } from './ErrorBoundary';
import classes from './Frame.module.css';
import { useLoginNeeded } from './login';
import { Navigation } from './Navigation';
import { Notices } from './Notices';
import { patterns, worklistPath } from './routes';
import { SearchBox } from './SearchBox';
import { UserButton } from './UserButton';
import { useOnDemand } from './useOnDemand';

/** What is around every page: the header with the search box, the navigation, messages and banners. */
export function Frame({ children }: { children: ReactNode }) {
  const { t } = useTranslation('app');
  const { online } = useNetwork();
  const [location] = useLocation();
  const [isOpen, menu] = useDisclosure(false);
  const isLoginNeeded = useLoginNeeded();
  // images need the room
  const [isViewer] = useRoute(patterns.viewer);
  const [LoginDialog, loadLoginDialog] = useOnDemand(() => import('./LoginDialog'));
  const [NavigationDrawer, loadNavigationDrawer] = useOnDemand(() => import('./NavigationDrawer'));
  const [UserMenu, loadUserMenu] = useOnDemand(() => import('./UserMenu'));
  useEffect(() => {
    if (isLoginNeeded) loadLoginDialog();
  }, [isLoginNeeded, loadLoginDialog]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the menu closes when its links have been followed
  useEffect(menu.close, [location]);
  return (
    <div className={classes.frame}>
      <a href="#content" className={classes.skip}>
        {t('skip')}
      </a>
      <header className={classes.header} hidden={isViewer}>
        <Burger
          className={classes.burger}
          opened={isOpen}
          onClick={() => {
            loadNavigationDrawer();
            menu.toggle();
          }}
          size="sm"
          aria-label={t('navigation.open')}
        />
        <Link href={worklistPath()} className={classes.brand} aria-label={t('title')}>
          <Logo />
        </Link>
        <SearchBox />
        {UserMenu ? <UserMenu /> : <UserButton onClick={loadUserMenu} />}
      </header>
      {!online && (
        <p className={classes.offline} role="status">
          {t('offline')}
        </p>
      )}
      <div className={classes.body} data-wide={isViewer}>
        <aside className={classes.navigation} hidden={isViewer}>
          <Navigation />
        </aside>
        <main id="content" className={classes.content} tabIndex={-1}>
          <ErrorBoundary key={location}>{children}</ErrorBoundary>
        </main>
        <JobCorner className={classes.jobs} />
      </div>
      {isOpen && NavigationDrawer && <NavigationDrawer close={menu.close} />}
      {isLoginNeeded && LoginDialog && <LoginDialog />}
      <DropAnywhere />
      <Notices />
    </div>
  );
}

function Logo() {
  return (
    <svg viewBox="0 0 32 32" width="26" height="26" aria-hidden="true" className={classes.logo}>
      <path d="M16 3 29 10 16 17 3 10z" fillOpacity=".25" />
      <path d="M3 16l13 7 13-7M3 22l13 7 13-7" fill="none" />
    </svg>
  );
}
