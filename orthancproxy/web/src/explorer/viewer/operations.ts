import { graphql } from '../graphql/generated';

export const VIEWER_PAGE = graphql(`
  query ViewerPage($orthancId: ID!) {
    ...Session
    study(orthancId: $orthancId) {
      id
      orthancId
      studyInstanceUID
      description
      studyDate
      patient {
        id
        patientId
        name {
          ...Name
        }
        birthDate
        sex
      }
      series {
        id
        orthancId
        seriesInstanceUID
        description
        modality
        seriesNumber
        instancesCount
        thumbnailUrl
      }
    }
  }
`);

// What Orthanc indexes of an instance in any configuration. Other tags make it read every file: the viewer finds them
// in the files that it loads anyway.
export const VIEWER_SERIES = graphql(`
  query ViewerSeries($orthancId: ID!) {
    series(orthancId: $orthancId) {
      id
      instances {
        id
        sopInstanceUID
        sopClassUID
        transferSyntaxUID
        instanceNumber
        numberOfFrames
        imagePositionPatient
        imageOrientationPatient
        fileUrl
      }
    }
  }
`);
