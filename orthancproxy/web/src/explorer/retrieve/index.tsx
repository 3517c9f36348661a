import { useQuery } from '@apollo/client/react';
import { Alert, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'wouter';

import { ErrorMessage } from '../app/ErrorMessage';
import { Loading } from '../app/Loading';
import { useLoadedSession } from '../app/session';
import { Page } from '../components/Page';
import { CRITERIA, type Criteria, criteriaOf, filterOf } from './criteria';
import { Found } from './Found';
import { FIND, SOURCES } from './operations';
import { SearchForm } from './SearchForm';

/** Searches another server for studies, and retrieves them; the URL holds the search. */
export default function RetrievePage() {
  const { t } = useTranslation('retrieve');
  const { viewer, may, error } = useLoadedSession();
  const isPermitted = may('RETRIEVE') && viewer?.scopes.length === 0;
  return (
    <Page wide title={t('title')}>
      {error && <ErrorMessage error={error} />}
      {!error && !viewer && <Loading />}
      {viewer && !isPermitted && <Alert role="alert">{t('forbidden')}</Alert>}
      {isPermitted && <Search />}
    </Page>
  );
}

function Search() {
  const { t } = useTranslation('retrieve');
  const [parameters, setParameters] = useSearchParams();
  const sources = useQuery(SOURCES, { fetchPolicy: 'cache-and-network' });
  const names = sources.data?.sources.map(({ name }) => name) ?? [];
  const source = names.find((name) => name === parameters.get('source'));
  const criteria = criteriaOf(parameters);
  const filter = filterOf(criteria);
  const { data, loading, error, refetch } = useQuery(FIND, {
    variables: { source: source ?? '', filter: filter ?? {} },
    skip: !source || !filter,
    // what another server has is not known from before
    fetchPolicy: 'network-only',
    notifyOnNetworkStatusChange: true,
  });

  function search(chosen: string, wanted: Criteria): void {
    const next = new URLSearchParams({ source: chosen });
    for (const name of CRITERIA) if (wanted[name]) next.set(name, wanted[name]);
    if (next.toString() === parameters.toString()) void refetch();
    else setParameters(next);
  }

  if (sources.error) return <ErrorMessage error={sources.error} />;
  if (!sources.data) return <Loading />;
  if (names.length === 0) return <Text role="status">{t('nowhere')}</Text>;
  return (
    <>
      <Text c="dimmed" size="sm" mb="md">
        {t('hint')}
      </Text>
      {/* another search of the URL fills in the form anew */}
      <SearchForm
        key={parameters.toString()}
        names={names}
        source={source ?? names[0] ?? ''}
        criteria={criteria}
        isSearching={loading}
        onSearch={search}
      />
      {error && <ErrorMessage error={error} retry={() => void refetch()} />}
      {loading && <Loading />}
      {data && source && !loading && <Found studies={data.findOnModality} source={source} />}
    </>
  );
}
