"""Tokens, and other members of an account."""

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
api-vpn              GET       -                             403     200     403     401     403     404     401
api-vpn-members      GET       -                             403     200     403     401     403     404     401
api-vpn-member       POST      {member},PHX01-Recovery       403/403 204/404 403/403 401     403/403 404     401
api-vpn-member       DELETE    {member},PHX01-Recovery       403/403 204/404 403/403 401     403/403 404     401
api-vpn-member       POST      {member},XXX99                403/403 404     403/403 401     403/403 404     401
api-tickets          GET       -                             200     200     403     401     200     404     401
api-tickets          POST      ;kind=test&vms={web_uuid}     201/404 201/404 403/403 401     403/404 404     401
api-tickets          POST      ;kind=live&vms={web_uuid}&site_code=PHX01 403/404 403/404 403/403 401 403/404 404 401
api-ticket           GET       {waiting}                     200/404 200/404 403/403 401     200/404 404     401
api-failovers        GET       {running}                     200/404 200/404 403/403 401     200/404 404     401
api-withdraw         POST      {waiting}                     200/404 200/404 403/403 401     403/404 404     401
api-confirm          POST      {running}                     200/404 200/404 403/403 401     403/404 404     401
api-terminate        POST      {running};reason=Over&site_code=DFW01 403/404 403/404 403/403 401 403/404 404 401
api-terminate        POST      {testing};reason=Over         201/404 201/404 403/403 401     403/404 404     401
api-extend           POST      {testing}                     400/404 400/404 403/403 401     403/404 404     401
api-result           POST      {testing};result=passed       200/404 200/404 403/403 401     403/404 404     401
api-approve          POST      {waiting};version={version}&reason=Yes 403/404 403/404 403/403 401 403/404 404 401
api-reject           POST      {waiting};version={version}&reason=No  403/404 403/404 403/403 401 403/404 404 401
"""

# The doors of an account once more, for other members. Of Northwind: nora (no role), adam (Admin, not listed), rita
# (reads replication only, and is listed). By a rule, without a line: who was removed gets 404 everywhere here; Support
# without a proved second factor is led from every page of admin to where one is set up, and gets 403 in the API.
OTHER_MEMBERS = """
route                method    sent                          nora     adam     rita

# Pages of an account: here, /northwind/
overview             GET       -                             200      200      200
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
failover-extend      GET       {testing}                     403/403  403/404  200/404
failover-extend      POST      {testing};key={key}           403/403  403/404  400/404
failover-result      POST      {testing};result=passed       403/403  403/404  303/404
failover-result      GET       {testing}                     405      405      405
failover-json        GET       {running}                     403/403  200/404  200/404
failover-csv         GET       {running}                     403/403  200/404  200/404
failover-message     POST      {waiting};text=Hello&key={key} 403/403  303/404  303/404
failover-message     GET       {waiting}                     405      405      405
tickets              GET       -                             403      200      403
ticket-new           GET       -                             403      200      403
ticket-new           GET       ?kind=order&about={order}     403/403  200/200  403/403
ticket-new           POST      ;kind=other&title=A&text=B&key={key} 403/403  303/303  403/403
conversation         GET       {talk}                        403/403  200/404  403/403
conversation         GET       {waiting}                     403/403  303/404  403/403
conversation         POST      {talk};text=Hello&key={key}   403/403  303/404  403/403
outage               GET       {outage}                      403/403  200/404  403/403
outage-strips        GET       -                             302      302      302
vpn                  GET       -                             403      200      403
vpn                  GET       ?vm={web_uuid}                403/403  200/404  403/403
vpn                  GET       ?vm={tested}                  403/403  200/404  403/403
vpn-profile          GET       PHX01-Recovery                403      403      403
vpn-profile          GET       XXX99                         403      404      403
vpn-member           POST      {member};site=PHX01-Recovery&do=in 403/403 302/404 403/403
vpn-member           POST      {member};site=PHX01-Recovery&do=out 403/403 302/404 403/403
vpn-member           POST      {member};site=XXX99&do=in     403/403  400/404  403/403
vpn-member           GET       {member}                      405      405      405
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
api-vpn              GET       -                             403      200      403
api-vpn-members      GET       -                             403      200      403
api-vpn-member       POST      {member},PHX01-Recovery       403/403  204/404  403/403
api-vpn-member       DELETE    {member},PHX01-Recovery       403/403  204/404  403/403
api-vpn-member       POST      {member},XXX99                403/403  404      403/403
api-tickets          GET       -                             403      200      200
api-tickets          POST      ;kind=test&vms={web_uuid}     403/403  403/404  201/404
api-ticket           GET       {waiting}                     403/403  200/404  200/404
api-failovers        GET       {running}                     403/403  200/404  200/404
api-withdraw         POST      {waiting}                     403/403  403/404  200/404
api-confirm          POST      {running}                     403/403  403/404  200/404
api-terminate        POST      {running};reason=Over&site_code=DFW01 403/403  403/404  201/404
api-extend           POST      {testing}                     403/403  403/404  400/404
api-result           POST      {testing};result=passed       403/403  403/404  200/404
api-approve          POST      {waiting};version={version}&reason=Yes 403/403  403/404  403/404
api-reject           POST      {waiting};version={version}&reason=No 403/403  403/404  403/404
"""
