import { Button, Group, Modal, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';

import { loginUrlTo } from './config';
import { checkUser } from './tabs';

/** Covers the page once the session has ended. The page stays as it is: work goes on after a login in another tab. */
export default function LoginDialog() {
  const { t } = useTranslation('app');
  // without an answer, the dialog stays
  const goOn = () => void checkUser().catch(() => undefined);
  // the link leads back to the page that is shown now
  useLocation();
  const loginUrl = loginUrlTo();

  return (
    <Modal
      opened
      onClose={goOn}
      overlayProps={{ blur: 12, backgroundOpacity: 0.7 }}
      title={t('login.title')}
      centered
      withCloseButton={false}
    >
      <Text mb="md">{t('login.text')}</Text>
      <Group>
        {loginUrl && (
          <Button component="a" href={loginUrl} data-autofocus>
            {t('menu.logIn')}
          </Button>
        )}
        <Button variant="default" onClick={goOn}>
          {t('login.again')}
        </Button>
      </Group>
    </Modal>
  );
}
