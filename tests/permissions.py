"""Who gets which answer: every route and method, for the whole cast. `tests/test_permissions.py` asks each cell.

A line: route, methods, what is sent, and the status for each person.

Sent      `{web}` in the address, `?vm={web}` in the query, `;key=...` in the form (JSON in the API); `-`: nothing.
          The words in braces are things of an account: see `Things` in the test. Each is asked three times: with an
          own thing (Northwind's), with a foreign one (Contoso's), with one that never was.
Answer    `in`: led to sign in. `200/404`: 200 with an own thing; 404 with a foreign or absent one, alike to the byte.
          `200/200/302`: own, foreign, absent, for Support's people, who see every account.
People    anon: not signed in. Of Northwind: priya (Admin, listed), oscar (Technical, not listed), ravi (reads VMs, FIM
          and replication), sana (reads VMs and FIM). olga: Contoso's Admin. mary: Support.

Why some say 403/403 and others 403/404 (product.md, rule 17): who may not read the kind learns nothing of any number;
who may read it and not do this learns first whether it is there.
"""

TABLE = """
route                method    sent                          anon  priya    oscar    ravi     sana     olga     mary

# Outside of an account
healthz              GET       -                             200   200      200      200      200      200      200
readyz               GET       -                             200   200      200      200      200      200      200
account_login        GET       -                             200   302      302      302      302      302      302
account_login        POST      ;login=a@b.example            400   302      302      302      302      302      302
mfa_authenticate     GET,POST  -                             302   302      302      302      302      302      302
account_reset_password GET     -                             200   200      200      200      200      200      200
account_reset_password POST    ;email=a@b.example            302   302      302      302      302      302      302
account_reset_password_done GET -                            200   200      200      200      200      200      200
account_reset_password_from_key GET,POST 1,never-made        200   200      200      200      200      200      200
account_reset_password_from_key_done GET -                   200   200      200      200      200      200      200
me                   GET       -                             in    200      200      200      200      200      200
me                   POST      ;time_zone=Europe/Paris       in    302      302      302      302      302      302
me-password          GET       -                             in    200      200      200      200      200      200
me-password          POST      ;password=no                  in    400      400      400      400      400      400
me-factor            GET       -                             in    200      200      200      200      200      200
me-factor            POST      ;code=no                      in    400      400      400      400      400      400
me-factor-app        GET,POST  -                             in    302      302      302      302      302      302
me-factor-codes      POST      -                             in    409      409      409      409      409      409
me-factor-codes      GET       -                             in    405      405      405      405      405      405
me-factor-remove     POST      -                             in    409      409      409      409      409      403
me-factor-remove     GET       -                             in    405      405      405      405      405      405
me-sessions          GET       -                             in    200      200      200      200      200      200
me-sessions          POST      ;others=1                     in    302      302      302      302      302      302
account_logout       POST      -                             302   302      302      302      302      302      302
account_logout       GET       -                             405   405      405      405      405      405      405
theme                POST      ;theme=dark                   302   302      302      302      302      302      302
theme                GET       -                             405   405      405      405      405      405      405
home                 GET       -                             302   302      302      302      302      302      302
failover-short       GET       {waiting}                     in    303/404  303/404  303/404  404      404/303/404 404
tokens               GET       -                             in    200      403      403      403      200      200
tokens               GET       ?account=northwind            in    200      403      403      403      404      404
tokens               GET       ?account=never-made           in    404      404      404      404      404      404
tokens               POST      ;account=northwind&name=N&days=30&scopes=read_vms in 200 403 403 403    404      404
tokens               POST      ;account=northwind&name=N&days=30&scopes=none in 400 403 403 403        404      404
token-revoke         POST      {token}                       in    302/404  404      404      404      404/302/404 404
token-revoke         GET       {token}                       in    405      405      405      405      405      405
invitation           GET       {link}                        200/200/404 403/403/404 403/403/404 403/403/404 403/403/404 403/403/404 403/403/404
invitation           POST      {link};name=N&password=a-long-phrase-1&time_zone=UTC in/in/404 403/403/404 403/403/404 403/403/404 403/403/404 403/403/404 403/403/404

# Pages of an account: here, /northwind/
overview-redirect    GET       -                             in    302      302      302      302      404      404
vms                  GET       -                             in    200      200      200      200      404      404
vms-choose           POST      ;order=chosen&vm={free_uuid}  in    303/404  303/404  403/404  403/403  404      404
vms-choose           POST      ;order=all&state=unprotected  in    303      303      403      403      404      404
vms-choose           POST      ;failover=chosen&vm={web_uuid} in   303/404  403/404  403/404  403/403  404      404
vms-choose           GET       -                             in    404      404      404      404      404      404
vm                   GET       {web}                         in    200/404  200/404  200/404  200/404  404      404
vm-test              GET       {tested}                      in    200/404  200/404  200/404  200/404  404      404
vm-points            GET       {web}                         in    200/404  200/404  200/404  403/403  404      404
fim                  GET       -                             in    200      200      200      200      404      404
malware              GET       -                             in    200      200      403      403      404      404
patching             GET       -                             in    200      200      403      403      404      404
notifications        GET       -                             in    200      200      200      200      404      404
notifications-read   POST      -                             in    302      302      302      302      404      404
notifications-read   POST      ;notice={notices_notice}      in    302/404  404      404      404      404      404
notifications-read   GET       -                             in    405      405      405      405      404      404
notification-settings GET      -                             in    200      200      200      200      404      404
notification-settings POST     ;on=orders:email              in    302      302      302      302      404      404
activity             GET       -                             in    200      200      403      403      404      404
activity-csv         GET       -                             in    200      200      403      403      404      404
replication          GET       -                             in    200      200      200      403      404      404
replication-none     GET       -                             in    200      200      200      403      404      404
replication-stop     GET       ?vm={web_uuid}                in    200/404  200/404  403/404  403/403  404      404
replication-stop     GET       ?order={order}                in    303/404  303/404  403/404  403/403  404      404
replication-stop     POST      ;vm={web_uuid}&key={key}      in    303/404  303/404  403/404  403/403  404      404
orders               GET       -                             in    200      200      200      403      404      404
order                GET       {order}                       in    200/404  200/404  200/404  403/403  404      404
order-new            GET       -                             in    200      200      403      403      404      404
order-new            GET       ?vm={free_uuid}               in    200/404  200/404  403/404  403/403  404      404
order-new            GET       ?choice={choice}              in    200/404  404      404      403/403  404      404
order-new            POST      ;vm={free_uuid}&key={key}     in    303/404  303/404  403/404  403/403  404      404
failovers            GET       -                             in    200      200      200      403      404      404
failover             GET       {waiting}                     in    200/404  200/404  200/404  403/403  404      404
failover             GET       {running}                     in    200/404  200/404  200/404  403/403  404      404
failover-new         GET       -                             in    200      403      403      403      404      404
failover-new         GET       ?vm={web_uuid}                in    200/404  403/404  403/404  403/403  404      404
failover-new         GET       ?choice={choice}              in    200/404  404      404      403/403  404      404
failover-confirm     GET       ?kind=test&vm={web_uuid}      in    200/404  403/404  403/404  403/403  404      404
failover-confirm     POST      ;kind=test&vm={web_uuid}&key={key} in 303/404 403/404 403/404  403/403  404      404
failover-confirm     POST ;vm={web_uuid}&kind=live&reason=R&site_code=PHX01 in 303/404 403/404 403/404 403/403 404 404
failover-withdraw    POST      {waiting}                     in    303/404  403/404  403/404  403/403  404      404
failover-works       POST      {running}                     in    303/404  403/404  403/404  403/403  404      404
failover-withdraw    GET       {waiting}                     in    405      405      405      405      404      404
failover-works       GET       {running}                     in    405      405      405      405      404      404
failover-terminate   GET       {running}                     in    200/404  403/404  403/404  403/403  404      404
failover-terminate   POST      {running};site_code=DFW01&reason=R&key={key} in 303/404 403/404 403/404 403/403  404 404
failover-message     POST      {waiting};text=Hello&key={key} in   303/404  303/404  403/404  403/403  404      404
failover-message     GET       {waiting}                     in    405      405      405      405      404      404
tickets              GET       -                             in    200      200      403      403      404      404
ticket-new           GET       -                             in    200      200      403      403      404      404
ticket-new           GET       ?kind=order&about={order}     in    200      200      403      403      404      404
ticket-new           POST      ;kind=other&title=A&text=B&key={key} in 303  303      403      403      404      404
conversation         GET       {talk}                        in    200/404  200/404  403/403  403/403  404      404
conversation         GET       {waiting}                     in    303/404  303/404  403/403  403/403  404      404
conversation         POST      {talk};text=Hello&key={key}   in    303/404  303/404  403/403  403/403  404      404
users                GET       -                             in    200      200      403      403      404      404
user                 GET       {member}                      in    200/404  200/404  403/403  403/403  404      404
user                 POST      {member};do=disable           in    302/404  403/404  403/403  403/403  404      404
user                 POST      {member};do=remove            in    302/404  403/404  403/403  403/403  404      404
user                 POST      {member};do=roles&role=admin  in    302/404  403/404  403/403  403/403  404      404
user-invite          GET       -                             in    200      403      403      403      404      404
user-invite          POST      ;email=n@b.example&roles=billing in 302      403      403      403      404      404
user-invitation      POST      {invited};do=resend           in    302/404  403/404  403/403  403/403  404      404
user-invitation      POST      {invited};do=withdraw         in    302/404  403/404  403/403  403/403  404      404
user-invitation      GET       {invited}                     in    405      405      405      405      404      404
roles                GET       -                             in    200      200      403      403      404      404
role                 GET       {role}                        in    200/404  200/404  403/403  403/403  404      404
role                 POST      {role};do=save&name=Own&permissions=read_vms in 302/404 403/404 403/403 403/403 404 404
role                 POST      {role};do=delete              in    409/404  403/404  403/403  403/403  404      404
role-new             GET       -                             in    200      403      403      403      404      404
role-new             GET       ?from={role}                  in    200/404  403/404  403/403  403/403  404      404
role-new             POST      ;name=Own&permissions=read_vms in   302      403      403      403      404      404
authorized-users     GET       -                             in    200      200      403      403      404      404
ask-access           POST      ;permission=write_identity    in    409      302      302      302      404      404
ask-access           GET       -                             in    405      405      405      405      404      404

# The API
api-schema           GET       -                             200   200      200      200      200      200      200
api-nowhere          GET,POST  -                             404   404      404      404      404      404      404
api-site             GET       DFW01                         401   401      401      401      401      401      401
api-site-reports     POST      DFW01                         401   401      401      401      401      401      401
api-account-reports  POST      -                             401   401      401      401      401      401      401
api-site-inventory   POST      DFW01                         401   401      401      401      401      401      401
api-account-inventory POST     -                             401   401      401      401      401      401      401
api-vms              GET       -                             401   200      200      200      200      404      404
api-vm               GET       {web_uuid}                    401   200/404  200/404  200/404  200/404  404      404
api-service-levels   GET       -                             401   200      200      200      403      404      404
api-orders           GET       -                             401   200      200      200      403      404      404
api-orders           POST      ;vms={free_uuid}              401   201/404  201/404  403/404  403/403  404      404
api-order            GET       {order}                       401   200/404  200/404  200/404  403/403  404      404
api-replications     GET       -                             401   200      200      200      403      404      404
api-replication      GET       {web_uuid}                    401   200/404  200/404  200/404  403/403  404      404
api-replication      DELETE    {web_uuid}                    401   204/404  204/404  403/404  403/403  404      404
api-points           GET       {web_uuid}                    401   200/404  200/404  200/404  403/403  404      404
api-rpo              GET       {web_uuid}                    401   200/404  200/404  200/404  403/403  404      404
api-replications-stop POST     ;vms={web_uuid}               401   200/404  200/404  403/404  403/403  404      404
api-billable         GET       ?month=2026-01                401   200      200      200      403      404      404
api-billable         GET       ?month=no                     401   400      400      400      403      404      404
api-outages          GET       -                             401   200      200      200      200      404      404
api-tickets          GET       -                             401   200      200      200      403      404      404
api-tickets          POST      ;kind=test&vms={web_uuid}     401   201/404  403/404  403/404  403/403  404      404
api-ticket           GET       {waiting}                     401   200/404  200/404  200/404  403/403  404      200/404
api-failovers        GET       {running}                     401   200/404  200/404  200/404  403/403  404      200/404
api-withdraw         POST      {waiting}                     401   200/404  403/404  403/404  403/403  404      404
api-confirm          POST      {running}                     401   200/404  403/404  403/404  403/403  404      404
api-terminate        POST      {running};reason=Over&site_code=DFW01 401 201/404 403/404 403/404 403/403 404    404
api-approve          POST      {waiting};version={version}&reason=Yes 401 403/404 403/404 403/404 403/403 404   200/404
api-reject           POST      {waiting};version={version}&reason=No  401 403/404 403/404 403/404 403/403 404   200/404

# Support's door
/admin/login/        GET       -                             in    403      403      403      403      403      302
/admin/logout/       POST      -                             302   403      403      403      403      403      302
admin:login          GET       -                             in    403      403      403      403      403      302
admin:logout         POST      -                             302   403      403      403      403      403      302
admin:index          GET       -                             in    403      403      403      403      403      200
admin:app_list       GET       accounts                      in    403      403      403      403      403      200
admin:autocomplete   GET       ?app_label=accounts&model_name=membership&field_name=person in 403 403 403 403 403 200
admin:jsi18n         GET       -                             in    403      403      403      403      403      200
admin:password_change GET,POST -                             302   403      403      403      403      403      302
/admin/password_change/ GET,POST -                           302   403      403      403      403      403      302
admin:password_change_done GET -                             in    403      403      403      403      403      200
admin:view_on_site   GET       1,1                           in    403      403      403      403      403      404
admin:auth_user_password_change GET,POST {accounts_person}   in    403      403      403      403      403      403
/admin/(?P<url>.*)$  GET,POST  -                             in    403      403      403      403      403      404
"""  # noqa: E501  a cell for each person, however much is sent

# Support's pages of each model, as mary gets them; anon is led to sign in, customers get 403. Forms are sent empty.
# `page`: of an own, a foreign and an absent row. Nothing is deleted here, and nothing changed but by a verb.
ADMIN = """
model                     list  add  add:POST  page         page:POST    history      delete
accounts_account          200   403  403       200/200/302  403          200/200/302  403
accounts_person           200   403  403       200/200/302  403          200/200/302  403
accounts_role             200   403  403       200/200/302  403          200/200/302  403
accounts_membership       200   403  403       200/200/302  403          200/200/302  403
accounts_authorizeduser   200   200  200       200/200/302  302          200/200/302  403
accounts_invitation       403   403  403       403          403          403/403/302  403
accounts_factorreset      200   403  403       200/200/404  400/400/404  200/200/302  403
accounts_activity         200   403  403       200/200/302  403          200/200/302  403
accounts_machinetoken     403   403  403       403          403          403/403/302  403
inventory_site            200   403  403       200/200/302  403          200/200/302  403
inventory_vm              200   403  403       200/200/302  403          200/200/302  403
inventory_outage          200   200  200       200/200/404  400/400/404  302          403
replication_servicelevel  200   403  403       200/200/302  403          200/200/302  403
replication_order         200   403  403       200/200/404  400/400/404  200/200/302  403
replication_replication   200   403  403       200/200/302  403          200/200/302  403
failover_ticket           200   403  403       200/200/404  400/400/404  302          403
notices_conversation      200   200  200       200/200/404  400/400/404  302          403
notices_notice            200   403  403       200/200/302  403          200/200/302  403
"""

# The other two groups of staff, where they get other answers than mary, or might be thought to.
OTHER_STAFF = """
group         model                   list  add  add:POST  page         page:POST    history      delete
Support_lead  accounts_account        200   200  200       200/200/302  403          200/200/302  403
Support_lead  accounts_person         200   200  200       200/200/302  403          200/200/302  403
Support_lead  accounts_membership     200   200  200       200/200/302  200/200/302  200/200/302  403
Support_lead  accounts_invitation     200   403  403       200/200/302  403          200/200/302  403
Support_lead  accounts_factorreset    200   200  200       200/200/404  400/400/404  200/200/302  403
Support_lead  accounts_machinetoken   403   403  403       403          403          403/403/302  403
Support_lead  inventory_site          200   403  403       200/200/302  200/200/302  200/200/302  403
Support_lead  replication_servicelevel 200 200 200      200/200/302  200/200/302  200/200/302  403
Support_lead  failover_ticket         200   403  403       200/200/404  400/400/404  302          403
Operator      accounts_account        200   403  403       200/200/302  403          200/200/302  403
Operator      accounts_person         403   403  403       403          403          403/403/302  403
Operator      accounts_authorizeduser 403   403  403       403          403          403/403/302  403
Operator      accounts_factorreset    403   403  403       403          403          403/403/302  403
Operator      accounts_machinetoken   200   200  200       200/200/302  403          200/200/302  403
Operator      inventory_site          200   200  200       200/200/302  200/200/302  200/200/302  403
Operator      inventory_outage        403   403  403       403          403          403          403
Operator      replication_servicelevel 403 403 403      403          403          403/403/302  403
Operator      failover_ticket         403   403  403       403          403          403          403
Operator      notices_conversation    403   403  403       403          403          403          403
"""

# The API once more, by tokens. Of Priya: `reads` (its scopes are Read Virtual Machine(s) and Read Server Replication),
# `all` (every scope), `vms` (Read Virtual Machine(s) alone). `ended`: revoked. `ravi`: his, with every scope. `olga`:
# Contoso's, with every scope. `machine`: for the inventory of DFW01.
TOKENS = """
route                method    sent                          reads   all     vms     ended   ravi    olga    machine
api-schema           GET       -                             200     200     200     200     200     200     200
api-nowhere          GET,POST  -                             404     404     404     404     404     404     404
api-site             GET       DFW01                         401     401     401     401     401     401     200
api-site             GET       PHX01                         401     401     401     401     401     401     404
api-site             GET       XXX99                         401     401     401     401     401     401     404
api-site-reports     POST      DFW01                         401     401     401     401     401     401     403
api-site-reports     POST      XXX99                         401     401     401     401     401     401     403
api-account-reports  POST      -                             401     401     401     401     401     401     403
api-site-inventory   POST      DFW01                         401     401     401     401     401     401     400
api-site-inventory   POST      PHX01                         401     401     401     401     401     401     404
api-site-inventory   POST      XXX99                         401     401     401     401     401     401     404
api-account-inventory POST     -                             401     401     401     401     401     401     404
api-vms              GET       -                             200     200     200     401     200     404     401
api-vm               GET       {web_uuid}                    200/404 200/404 200/404 401     200/404 404     401
api-service-levels   GET       -                             200     200     403     401     200     404     401
api-orders           GET       -                             200     200     403     401     200     404     401
api-orders           POST      ;vms={free_uuid}              403/404 201/404 403/403 401     403/404 404     401
api-order            GET       {order}                       200/404 200/404 403/403 401     200/404 404     401
api-replications     GET       -                             200     200     403     401     200     404     401
api-replication      GET       {web_uuid}                    200/404 200/404 403/403 401     200/404 404     401
api-replication      DELETE    {web_uuid}                    403/404 204/404 403/403 401     403/404 404     401
api-points           GET       {web_uuid}                    200/404 200/404 403/403 401     200/404 404     401
api-rpo              GET       {web_uuid}                    200/404 200/404 403/403 401     200/404 404     401
api-replications-stop POST     ;vms={web_uuid}               403/404 200/404 403/403 401     403/404 404     401
api-billable         GET       ?month=2026-01                200     200     403     401     200     404     401
api-outages          GET       -                             200     200     200     401     200     404     401
api-tickets          GET       -                             200     200     403     401     200     404     401
api-tickets          POST      ;kind=test&vms={web_uuid}     201/404 201/404 403/403 401     403/404 404     401
api-tickets          POST      ;kind=live&vms={web_uuid}&site_code=PHX01 403/404 403/404 403/403 401 403/404 404 401
api-ticket           GET       {waiting}                     200/404 200/404 403/403 401     200/404 404     401
api-failovers        GET       {running}                     200/404 200/404 403/403 401     200/404 404     401
api-withdraw         POST      {waiting}                     200/404 200/404 403/403 401     403/404 404     401
api-confirm          POST      {running}                     200/404 200/404 403/403 401     403/404 404     401
api-terminate        POST      {running};reason=Over&site_code=DFW01 403/404 403/404 403/403 401 403/404 404 401
api-terminate        POST      {testing};reason=Over         201/404 201/404 403/403 401     403/404 404     401
api-approve          POST      {waiting};version={version}&reason=Yes 403/404 403/404 403/403 401 403/404 404 401
api-reject           POST      {waiting};version={version}&reason=No  403/404 403/404 403/403 401 403/404 404 401
"""

# The doors of an account once more, for other members. Of Northwind: nora (no role), adam (Admin, not listed), rita
# (reads replication only, and is listed). By a rule, without a line: who was removed gets 404 everywhere here; Support
# without a proved second factor is led from every page of admin to where one is set up, and gets 403 in the API.
OTHER_MEMBERS = """
route                method    sent                          nora     adam     rita

# Pages of an account: here, /northwind/
overview-redirect    GET       -                             302      302      302
vms                  GET       -                             403      200      403
vms-choose           POST      ;order=chosen&vm={free_uuid}  403/403  303/404  403/403
vms-choose           POST      ;order=all&state=unprotected  403      303      403
vms-choose           POST      ;failover=chosen&vm={web_uuid} 403/403 403/404  403/403
vms-choose           GET       -                             403      404      403
vm                   GET       {web}                         403/403  200/404  403/403
vm-test              GET       {tested}                      403/403  200/404  403/403
vm-points            GET       {web}                         403/403  200/404  403/403
fim                  GET       -                             403      200      403
malware              GET       -                             403      200      403
patching             GET       -                             403      200      403
notifications        GET       -                             200      200      200
notifications-read   POST      -                             302      302      302
notifications-read   POST      ;notice={notices_notice}      404      404      404
notifications-read   GET       -                             405      405      405
notification-settings GET       -                             200      200      200
notification-settings POST      ;on=orders:email              302      302      302
activity             GET       -                             403      200      403
activity-csv         GET       -                             403      200      403
replication          GET       -                             403      200      200
replication-none     GET       -                             403      200      200
replication-stop     GET       ?vm={web_uuid}                403/403  200/404  403/404
replication-stop     GET       ?order={order}                403/403  303/404  403/404
replication-stop     POST      ;vm={web_uuid}&key={key}      403/403  303/404  403/404
orders               GET       -                             403      200      200
order                GET       {order}                       403/403  200/404  200/404
order-new            GET       -                             403      200      403
order-new            GET       ?vm={free_uuid}               403/403  200/404  403/403
order-new            GET       ?choice={choice}              403/403  404      404
order-new            POST      ;vm={free_uuid}&key={key}     403/403  303/404  403/403
failovers            GET       -                             403      200      200
failover             GET       {waiting}                     403/403  200/404  200/404
failover             GET       {running}                     403/403  200/404  200/404
failover-new         GET       -                             403      403      200
failover-new         GET       ?vm={web_uuid}                403/403  403/404  200/404
failover-new         GET       ?choice={choice}              403/403  404      404
failover-confirm     GET       ?kind=test&vm={web_uuid}      403/403  403/404  200/404
failover-confirm     POST      ;kind=test&vm={web_uuid}&key={key} 403/403  403/404  303/404
failover-confirm     POST      ;vm={web_uuid}&kind=live&reason=R&site_code=PHX01 403/403  403/404  303/404
failover-withdraw    POST      {waiting}                     403/403  403/404  303/404
failover-works       POST      {running}                     403/403  403/404  303/404
failover-withdraw    GET       {waiting}                     405      405      405
failover-works       GET       {running}                     405      405      405
failover-terminate   GET       {running}                     403/403  403/404  200/404
failover-terminate   POST      {running};site_code=DFW01&reason=R&key={key} 403/403  403/404  303/404
failover-message     POST      {waiting};text=Hello&key={key} 403/403  303/404  303/404
failover-message     GET       {waiting}                     405      405      405
tickets              GET       -                             403      200      403
ticket-new           GET       -                             403      200      403
ticket-new           GET       ?kind=order&about={order}     403/403  200/200  403/403
ticket-new           POST      ;kind=other&title=A&text=B&key={key} 403/403  303/303  403/403
conversation         GET       {talk}                        403/403  200/404  403/403
conversation         GET       {waiting}                     403/403  303/404  403/403
conversation         POST      {talk};text=Hello&key={key}   403/403  303/404  403/403
users                GET       -                             403      200      403
user                 GET       {member}                      403/403  200/404  403/403
user                 POST      {member};do=disable           403/403  302/404  403/403
user                 POST      {member};do=remove            403/403  302/404  403/403
user                 POST      {member};do=roles&role=admin  403/403  302/404  403/403
user-invite          GET       -                             403      200      403
user-invite          POST      ;email=n@b.example&roles=billing 403      302      403
user-invitation      POST      {invited};do=resend           403/403  302/404  403/403
user-invitation      POST      {invited};do=withdraw         403/403  302/404  403/403
user-invitation      GET       {invited}                     405      405      405
roles                GET       -                             403      200      403
role                 GET       {role}                        403/403  200/404  403/403
role                 POST      {role};do=save&name=Own&permissions=read_vms 403/403  302/404  403/403
role                 POST      {role};do=delete              403/403  409/404  403/403
role-new             GET       -                             403      200      403
role-new             GET       ?from={role}                  403/403  200/404  403/403
role-new             POST      ;name=Own&permissions=read_vms 403      302      403
authorized-users     GET       -                             403      200      403
ask-access           POST      ;permission=write_identity    302      409      302
ask-access           GET       -                             405      405      405

# The API
api-vms              GET       -                             403      200      403
api-vm               GET       {web_uuid}                    403/403  200/404  403/403
api-service-levels   GET       -                             403      200      200
api-orders           GET       -                             403      200      200
api-orders           POST      ;vms={free_uuid}              403/403  201/404  403/403
api-order            GET       {order}                       403/403  200/404  200/404
api-replications     GET       -                             403      200      200
api-replication      GET       {web_uuid}                    403/403  200/404  200/404
api-replication      DELETE    {web_uuid}                    403/403  204/404  403/404
api-points           GET       {web_uuid}                    403/403  200/404  200/404
api-rpo              GET       {web_uuid}                    403/403  200/404  200/404
api-replications-stop POST      ;vms={web_uuid}               403/403  200/404  403/404
api-billable         GET       ?month=2026-01                403      200      200
api-billable         GET       ?month=no                     403      400      400
api-outages          GET       -                             403      200      403
api-tickets          GET       -                             403      200      200
api-tickets          POST      ;kind=test&vms={web_uuid}     403/403  403/404  201/404
api-ticket           GET       {waiting}                     403/403  200/404  200/404
api-failovers        GET       {running}                     403/403  200/404  200/404
api-withdraw         POST      {waiting}                     403/403  403/404  200/404
api-confirm          POST      {running}                     403/403  403/404  200/404
api-terminate        POST      {running};reason=Over&site_code=DFW01 403/403  403/404  201/404
api-approve          POST      {waiting};version={version}&reason=Yes 403/403  403/404  403/404
api-reject           POST      {waiting};version={version}&reason=No 403/403  403/404  403/404
"""
