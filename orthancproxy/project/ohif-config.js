// The configuration of OHIF for the gateway that serves it: its DICOMweb is beside it, wherever both are mounted.
(() => {
  const home = new URL("./", document.currentScript.src);
  const dicomweb = new URL("../dicom-web", home).href;
  window.config = {
    routerBasename: home.pathname.replace(/\/$/, ""),
    extensions: [],
    modes: [],
    customizationService: {},
    showStudyList: true,
    maxNumberOfWebWorkers: 3,
    showWarningMessageForCrossOrigin: true,
    showCPUFallbackMessage: true,
    showLoadingIndicator: true,
    strictZSpacingForVolumeViewport: true,
    groupEnabledModesFirst: true,
    maxNumRequests: { interaction: 20, thumbnail: 5, prefetch: 10 },
    showErrorDetails: "always",
    defaultDataSourceName: "gateway",
    dataSources: [
      {
        namespace: "@ohif/extension-default.dataSourcesModule.dicomweb",
        sourceName: "gateway",
        configuration: {
          friendlyName: "Orthanc gateway",
          name: "gateway",
          qidoRoot: dicomweb,
          wadoRoot: dicomweb,
          wadoUriRoot: `${dicomweb}/wado`,
          qidoSupportsIncludeField: true,
          imageRendering: "wadors",
          thumbnailRendering: "thumbnailDirect",
          enableStudyLazyLoad: true,
          supportsFuzzyMatching: false,
          supportsWildcard: true,
          singlepart: "bulkdata,video,pdf",
          bulkDataURI: { enabled: true },
          omitQuotationForMultipartRequest: true,
        },
      },
    ],
  };
})();
