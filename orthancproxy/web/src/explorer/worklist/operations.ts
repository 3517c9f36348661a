import { graphql } from '../graphql/generated';

export const WorklistStudy = graphql(`
  fragment WorklistStudy on Study {
    id
    orthancId
    studyInstanceUID
    description
    studyDate
    studyTime
    accessionNumber
    referringPhysicianName
    modalities
    lastUpdate
    isStable
    labels
    seriesCount
    instancesCount
    tags(keywords: $keywords) @include(if: $withTags)
    patient {
      id
      orthancId
      patientId
      patientName
      birthDate
      sex
      name { ...Name }
    }
  }
`);

/** The first page, in one request with the session. */
export const WorklistFirstPage = graphql(`
  query WorklistFirstPage(
    $filter: StudyFilter
    $orderBy: [StudyOrder!]
    $first: Int!
    $keywords: [String!]!
    $withTags: Boolean!
  ) {
    ...Session
    studies(filter: $filter, orderBy: $orderBy, first: $first) {
      totalCount
      nodes { ...WorklistStudy }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

export const WorklistNextPage = graphql(`
  query WorklistNextPage(
    $filter: StudyFilter
    $orderBy: [StudyOrder!]
    $first: Int!
    $after: String!
    $keywords: [String!]!
    $withTags: Boolean!
  ) {
    studies(filter: $filter, orderBy: $orderBy, first: $first, after: $after) {
      nodes { ...WorklistStudy }
      pageInfo { hasNextPage endCursor }
    }
  }
`);

/** Those of the changed studies that match the filter, and how many match it now. */
export const WorklistChanged = graphql(`
  query WorklistChanged(
    $filter: StudyFilter
    $changed: StudyFilter
    $withChanged: Boolean!
    $first: Int!
    $keywords: [String!]!
    $withTags: Boolean!
  ) {
    studies(filter: $filter, first: 1) { totalCount }
    changed: studies(filter: $changed, first: $first) @include(if: $withChanged) {
      nodes { ...WorklistStudy }
    }
  }
`);

export const WorklistChange = graphql(`
  fragment WorklistChange on ArchiveChange {
    cursor
    kind
    level
    orthancId
    globalId
    studyInstanceUID
  }
`);

export const WorklistChanges = graphql(`
  subscription WorklistChanges($after: String) {
    archiveChanges(after: $after, levels: [PATIENT, STUDY]) { ...WorklistChange }
  }
`);
