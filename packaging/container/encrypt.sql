-- SPDX-License-Identifier: GPL-2.0-or-later
-- The image's entrypoint runs this once, when it creates the data directory.
ALTER TABLESPACE mysql ENCRYPTION='Y';
ALTER TABLE sys.sys_config ENCRYPTION='Y';
