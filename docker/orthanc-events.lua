-- Tell the gateway at once which patients and studies Orthanc deletes. Without this, it finds out within 10 seconds.
--
-- For "LuaScripts" in Orthanc's configuration. Variables of Orthanc's environment:
--   ORTHANC_EVENTS_URL     the address of the gateway, such as http://gateway:8000/orthanc-events
--   ORTHANC_EVENTS_SECRET  the gateway's setting of that name, or ORTHANC_EVENTS_SECRET_FILE, a file that has it
--
-- There is no callback for series and instances, of which a study can have thousands: the LastUpdate of their study shows
-- that they are gone.

-- Orthanc answers no HTTP request while a callback runs
local TIMEOUT_SECONDS = 1
-- after a failure: the gateway finds out itself, if it has its index (ORTHANC_INDEX)
local PAUSE_SECONDS = 30

local url = os.getenv('ORTHANC_EVENTS_URL')
local secret_file = os.getenv('ORTHANC_EVENTS_SECRET_FILE')
local secret = os.getenv('ORTHANC_EVENTS_SECRET') or ''
if secret_file then
  -- Orthanc does not start without it
  local file = assert(io.open(secret_file))
  secret = file:read('*l') or ''
  file:close()
end
local headers = {['Authorization'] = 'Bearer ' .. secret, ['Content-Type'] = 'application/json'}
local paused_until = 0
local timeout = GetOrthancConfiguration()['HttpTimeout'] or 60

-- Orthanc 1.10.1 has the option only
if secret == '' then
  url = nil
elseif url and not SetHttpTimeout and (timeout < 1 or timeout > 2) then
  print('Deletions are not sent to the gateway: set "HttpTimeout" to 2 seconds or less, or update Orthanc.')
  url = nil
end

local function tell(level, id)
  if not url or os.time() < paused_until then
    return
  end
  if SetHttpTimeout then
    SetHttpTimeout(TIMEOUT_SECONDS)
  end
  if HttpPost(url, '[{"level": "' .. level .. '", "id": "' .. id .. '"}]', headers) == nil then
    paused_until = os.time() + PAUSE_SECONDS
  end
  if SetHttpTimeout then
    -- other scripts share it
    SetHttpTimeout(timeout)
  end
end

function OnDeletedPatient(id)
  tell('Patient', id)
end

function OnDeletedStudy(id)
  tell('Study', id)
end
