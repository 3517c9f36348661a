import { Title } from '@mantine/core';
import { type ReactNode, useEffect } from 'react';
import { useTranslation } from 'react-i18next';

import classes from './Page.module.css';

interface PageProps {
  title: string;
  /** Buttons beside the title. */
  actions?: ReactNode;
  /** For tables: the page is as wide as the window. */
  wide?: boolean;
  children: ReactNode;
}

/** A page that reads from top to bottom, with its title also in the browser's tab. */
export function Page({ title, actions, wide = false, children }: PageProps) {
  usePageTitle(title);
  return (
    <div className={classes.page} data-wide={wide}>
      <div className={classes.head}>
        <Title order={1} size="h3">
          {title}
        </Title>
        {actions}
      </div>
      {children}
    </div>
  );
}

/** Shows a title in the browser's tab, for as long as the component is there. */
export function usePageTitle(title: string): void {
  const { t } = useTranslation('app');
  const gateway = t('title');
  useEffect(() => {
    document.title = title ? `${title} – ${gateway}` : gateway;
  }, [title, gateway]);
}
