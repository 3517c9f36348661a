import { Button } from '@mantine/core';
import { IconFile, IconFolder } from '@tabler/icons-react';
import { type ReactNode, useRef } from 'react';
import { useTranslation } from 'react-i18next';

import { filesOfInput } from './files';
import { select } from './selection';

/** Buttons that open the browser's dialogs for a folder and for files. `isFurther`: to add to what is selected. */
export function FileButtons({ isFurther = false }: { isFurther?: boolean }) {
  const { t } = useTranslation('upload');
  return (
    <>
      <FileButton isFolder isMain={!isFurther}>
        {t(isFurther ? 'drop.addFolder' : 'drop.chooseFolder')}
      </FileButton>
      <FileButton>{t(isFurther ? 'drop.addFiles' : 'drop.chooseFiles')}</FileButton>
    </>
  );
}

interface FileButtonProps {
  isFolder?: boolean;
  isMain?: boolean;
  children: ReactNode;
}

function FileButton({ isFolder = false, isMain = false, children }: FileButtonProps) {
  const input = useRef<HTMLInputElement>(null);
  const Icon = isFolder ? IconFolder : IconFile;
  return (
    <>
      <Button
        variant={isMain ? 'filled' : 'default'}
        leftSection={<Icon size={16} aria-hidden="true" />}
        onClick={() => input.current?.click()}
      >
        {children}
      </Button>
      <input
        ref={input}
        type="file"
        multiple
        hidden
        // React's types do not know it
        {...(isFolder && { webkitdirectory: '' })}
        onChange={({ target }) => {
          if (target.files) select(filesOfInput(target.files));
          // so that the same folder can be chosen again
          target.value = '';
        }}
      />
    </>
  );
}
